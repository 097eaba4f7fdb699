#include "coordinator/page/html.h"

#include <fmt/format.h>

#include "common/xml.h"
#include "coordinator/page/style.h"
#include "coordinator/page/svg.h"

namespace hullft::page {
namespace {

// Inside <script> only "<" can end the element.
std::string JsonInHtml(const std::string& json) {
  std::string out;
  for (const char c : json) out += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return out;
}

}  // namespace

std::string TableHtml(const study::Table& table) {
  std::string html =
      "<div class=\"scroll\"><table>\n<caption><span>" + XmlEscaped(table.caption) + "</span></caption>\n<thead><tr>";
  for (const std::string& name : table.header) html += "<th scope=\"col\">" + XmlEscaped(name) + "</th>";
  html += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    html += "<tr>";
    for (const study::TableCell& cell : row) {
      html += cell.bold ? "<td class=\"best\">" : "<td>";
      html += XmlEscaped(cell.text);
      if (!cell.note.empty()) html += " <small>" + XmlEscaped(cell.note) + "</small>";
      html += "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string FigureHtml(const FigureBlock& figure) {
  std::string html =
      fmt::format("<figure id=\"{}\">\n<h2>{}</h2>\n<figcaption>{}</figcaption>\n{}<div class=\"panels\">\n", figure.id,
                  XmlEscaped(figure.title), XmlEscaped(figure.text), figure.legend_html);
  for (const std::string& panel : figure.panels_html) html += panel;
  html += "</div>\n";
  if (!figure.numbers.empty()) {
    html += "<details><summary>Numbers</summary>\n";
    for (const study::Table& table : figure.numbers) html += TableHtml(table);
    html += "</details>\n";
  }
  return html + "</figure>\n";
}

std::string LegendHtml(const std::vector<LegendEntry>& entries) {
  std::string html = "<ul class=\"legend\">";
  for (const LegendEntry& entry : entries)
    html += "<li>" + LegendSwatch(entry.series) + XmlEscaped(entry.name) + "</li>";
  return html + "</ul>\n";
}

std::string DocumentHtml(const std::string& title, const std::string& body_html, const std::string& json) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n<title>{}</title>\n<style>{}</style></head>\n"
      "<body>\n{}<script type=\"application/json\" id=\"figures\">\n{}</script>\n</body></html>\n",
      XmlEscaped(title), kStyle, body_html, JsonInHtml(json));
}

}  // namespace hullft::page
