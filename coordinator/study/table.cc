#include "coordinator/study/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/printable.h"

namespace hullft::study {
namespace {

std::string Together(const TableCell& cell) {
  return cell.note.empty() ? cell.text : cell.text + " " + cell.note;
}

// Characters on screen, for UTF-8 texts without combining characters.
size_t Width(const std::string& text) {
  return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

// Names of subsets and series come from files, and may be of any length.
std::string OnOneLine(const std::string& text) {
  return PrintableLine(text);
}

// Terminals act on control characters, Markdown readers on HTML and bars, LaTeX on its special characters.
std::string MarkdownText(const std::string& text) {
  std::string out;
  for (const char c : OnOneLine(text)) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      if (c == '|' || c == '\\' || c == '*' || c == '_' || c == '`' || c == '[') out += '\\';
      out += c;
    }
  }
  return out;
}

std::string LatexText(const std::string& text) {
  std::string out;
  for (const char c : OnOneLine(text)) {
    if (c == '\\') {
      out += "\\textbackslash{}";
    } else if (c == '~' || c == '^') {
      out += std::string("\\") + c + "{}";
    } else {
      if (std::string_view("&%$#_{}").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  return out;
}

std::string CsvText(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

std::string PlainText(const Table& table) {
  std::vector<size_t> widths;
  for (const std::string& name : table.header) widths.push_back(Width(OnOneLine(name)));
  for (const auto& row : table.rows) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], Width(OnOneLine(Together(row[c]))));
  }
  const auto line = [&](size_t c, const std::string& text) {
    const std::string shown = OnOneLine(text), space(widths[c] - Width(shown), ' ');
    return (c > 0 ? "  " : "") + (c == 0 ? shown + space : space + shown);
  };
  std::string text = OnOneLine(table.caption) + "\n";
  for (size_t c = 0; c < table.header.size(); ++c) text += line(c, table.header[c]);
  text += "\n";
  for (const auto& row : table.rows) {
    for (size_t c = 0; c < row.size(); ++c) text += line(c, Together(row[c]));
    text += "\n";
  }
  return text;
}

std::string Csv(const Table& table) {
  std::string text;
  for (size_t c = 0; c < table.header.size(); ++c) text += (c > 0 ? "," : "") + CsvText(table.header[c]);
  text += "\r\n";
  for (const auto& row : table.rows) {
    for (size_t c = 0; c < row.size(); ++c) text += (c > 0 ? "," : "") + CsvText(row[c].text);
    text += "\r\n";
  }
  return text;
}

std::string Markdown(const Table& table) {
  std::string text = MarkdownText(table.caption) + "\n\n|", rule = "|";
  for (size_t c = 0; c < table.header.size(); ++c) {
    text += " " + MarkdownText(table.header[c]) + " |";
    rule += c == 0 ? " --- |" : " ---: |";
  }
  text += "\n" + rule + "\n";
  for (const auto& row : table.rows) {
    text += "|";
    for (const TableCell& cell : row) {
      const std::string value = MarkdownText(cell.text);
      text += " " + (cell.bold ? "**" + value + "**" : value) +
              (cell.note.empty() ? "" : " " + MarkdownText(cell.note)) + " |";
    }
    text += "\n";
  }
  return text;
}

std::string Latex(const Table& table) {
  std::string text = "% " + OnOneLine(table.caption) + "\n% needs \\usepackage{booktabs}\n\\begin{tabular}{l";
  text += std::string(table.header.size() - 1, 'r') + "}\n\\toprule\n";
  for (size_t c = 0; c < table.header.size(); ++c) text += (c > 0 ? " & " : "") + LatexText(table.header[c]);
  text += " \\\\\n\\midrule\n";
  for (const auto& row : table.rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string value = LatexText(row[c].text);
      text += (c > 0 ? " & " : "") + (row[c].bold ? "\\textbf{" + value + "}" : value);
      if (!row[c].note.empty()) text += " {\\scriptsize " + LatexText(row[c].note) + "}";
    }
    text += " \\\\\n";
  }
  return text + "\\bottomrule\n\\end{tabular}\n";
}

Table HeadlineTable(const Study& study, const Figures& figures) {
  Table table;
  table.caption = fmt::format(
      "BPB after finetuning as per cent of untuned ({}, lower is better){}; 95% paired bootstrap intervals; * differs "
      "from "
      "the best of its row (Holm-corrected p < 0.05)",
      DefinitionName(study.definition), figures.headline_n > 0 ? fmt::format(", N = {}", figures.headline_n) : "");
  table.header = {"subset", "queries", "untuned BPB"};
  for (const SeriesFigures& series : figures.series) {
    const Cell& cell = study.cells[series.cell];
    table.header.push_back(figures.headline_n > 0 ? study.series[cell.series] : CellName(study, cell));
  }
  for (const SubsetFigures& subset : figures.subsets) {
    std::vector<TableCell> row = {subset.subset, std::to_string(subset.queries)};
    row.emplace_back(subset.cells.empty() ? "" : fmt::format("{:.4f}", subset.cells.front().before));
    for (const HeadlineEntry& entry : subset.headline) {
      const CellFigure& figure = subset.cells[entry.figure];
      row.emplace_back(
          fmt::format("{:.2f}", figure.percent), entry.best,
          fmt::format("[{:.2f}, {:.2f}]{}", figure.interval.low, figure.interval.high, entry.p < 0.05 ? "*" : ""));
    }
    row.resize(table.header.size());
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table CellTable(const Study& study, const Figures& figures) {
  Table table;
  table.caption = fmt::format("Every cell ({})", DefinitionName(study.definition));
  table.header = {"subset",    "series",  "n",           "queries",      "bpb_before",
                  "bpb_after", "percent", "percent_low", "percent_high", "runtime_ms"};
  for (const char* stage : kStageNames) {
    std::string name = stage;
    std::ranges::replace(name, ' ', '_');
    table.header.push_back(name + "_ms");
  }
  for (const SubsetFigures& subset : figures.subsets) {
    for (const CellFigure& figure : subset.cells) {
      const Cell& cell = study.cells[figure.cell];
      std::vector<TableCell> row = {subset.subset, study.series[cell.series], std::to_string(cell.n),
                                    std::to_string(figure.queries)};
      for (const double value :
           {figure.before, figure.after, figure.percent, figure.interval.low, figure.interval.high, figure.runtime_ms})
        row.emplace_back(fmt::format("{}", value));
      for (const double ms : figure.ms) row.emplace_back(fmt::format("{}", ms));
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

}  // namespace hullft::study
