// A table of texts, and what it is as CSV, Markdown, LaTeX and plain text. Every value is escaped for its form.
// Thread safety: values, free functions.
#pragma once

#include <string>
#include <vector>

#include "coordinator/study/figures.h"

namespace hullft::study {

struct TableCell {
  TableCell(std::string text = "", bool bold = false, std::string note = "")
      : text(std::move(text)), bold(bold), note(std::move(note)) {}
  TableCell(const char* text) : text(text) {}
  std::string text;
  bool bold = false;
  std::string note;  // smaller, after the text: an interval, a mark of significance
};

struct Table {
  std::string caption;
  std::vector<std::string> header;
  std::vector<std::vector<TableCell>> rows;  // as long as the header
};

std::string PlainText(const Table& table);  // aligned columns
std::string Csv(const Table& table);        // RFC 4180; texts only, no notes
std::string Markdown(const Table& table);
std::string Latex(const Table& table);  // a tabular with booktabs' rules

// BPB as per cent of untuned by subset and series, the best bold, intervals as notes; a star where the difference to
// the best has a corrected p-value below 0.05.
Table HeadlineTable(const Study& study, const Figures& figures);
// Every cell of every subset with its numbers in full: what the CSV holds.
Table CellTable(const Study& study, const Figures& figures);

}  // namespace hullft::study
