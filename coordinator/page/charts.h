// The figures of a report, each with its numbers as a table. Dots are thinned to kDots a panel at most, evenly over the
// queries' order, and the text says so. Thread safety: free functions.
#pragma once

#include "coordinator/page/html.h"
#include "coordinator/study/figures.h"

namespace hullft::page {

inline constexpr size_t kDots = 2000;

// charts_quality.cc
FigureBlock QualityChart(const study::Study& study,
                         const study::Figures& figures);                           // BPB against runtime, Pareto front
FigureBlock CurveChart(const study::Study& study, const study::Figures& figures);  // BPB against N by subset
// charts_queries.cc
FigureBlock BeforeAfterChart(const study::Study& study, const study::Figures& figures);
FigureBlock CorrelationChart(const study::Study& study, const study::Figures& figures);
FigureBlock HistogramChart(const study::Study& study, const study::Figures& figures);
// charts_work.cc
FigureBlock StageChart(const study::Study& study, const study::Figures& figures);
FigureBlock TimelineChart(const study::Study& study, const study::Figures& figures);

// A legend of all series.
std::string SeriesLegend(const study::Study& study);

}  // namespace hullft::page
