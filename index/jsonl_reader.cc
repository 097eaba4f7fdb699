#include "index/jsonl_reader.h"

#include <simdjson.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "common/error.h"
#include "common/files.h"
#include "index/byte_source.h"

namespace hullft::index {
namespace {

// Cuts a stream into lines, holding no more than the limit of one in memory.
class LineReader {
 public:
  LineReader(const std::filesystem::path& path, const JsonlOptions& options)
      : max_bytes_(static_cast<size_t>(options.max_line_bytes)), last_(options.end), buffer_(1 << 18) {
    if (options.begin == 0) {
      source_ = ByteSource::Open(path);
      return;
    }
    position_ = options.begin - 1;  // a line starts at `begin` only if the byte before ends one
    source_ = ByteSource::OpenAt(path, position_);
    std::string skipped;
    int64_t bytes = 0;
    ReadLine(&skipped, &bytes);
  }

  // The next line into *line, without its end, and its whole length into *bytes (more than line holds when it is above
  // the limit). False at the end of the file or of the part.
  bool Next(std::string* line, int64_t* bytes) { return (last_ < 0 || position_ < last_) && ReadLine(line, bytes); }

 private:
  bool ReadLine(std::string* line, int64_t* bytes) {
    line->clear();
    *bytes = 0;
    bool any = false;
    while (true) {
      if (begin_ == end_) {
        begin_ = 0;
        end_ = source_->Read(buffer_);
        if (end_ == 0) return any;
      }
      any = true;
      const char* start = buffer_.data() + begin_;
      const auto* newline = static_cast<const char*>(std::memchr(start, '\n', end_ - begin_));
      const size_t n = newline != nullptr ? static_cast<size_t>(newline - start) : end_ - begin_;
      *bytes += static_cast<int64_t>(n);
      if (line->size() <= max_bytes_) line->append(start, std::min(n, max_bytes_ + 1 - line->size()));
      const size_t taken = n + (newline != nullptr ? 1 : 0);
      begin_ += taken;
      position_ += static_cast<int64_t>(taken);
      if (newline != nullptr) return true;
    }
  }

  std::unique_ptr<ByteSource> source_;
  const size_t max_bytes_;
  const int64_t last_;    // no line starts there or after; -1: no such limit
  int64_t position_ = 0;  // in the file, of the next line
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;
};

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

std::string ParseReason(simdjson::error_code code) {
  switch (code) {
    case simdjson::UTF8_ERROR:
      return "is not valid UTF-8";
    case simdjson::STRING_ERROR:
      return "has a string with a bad escape or a lone surrogate";
    default:
      return std::string("is not JSON: ") + simdjson::error_message(code);
  }
}

}  // namespace

Rejects::Rejects(std::filesystem::path file, int64_t max_rejects) : file_(std::move(file)), max_rejects_(max_rejects) {}

void Rejects::Add(std::string_view path, int64_t line, std::string_view reason) {
  ++count_;
  if (!file_.empty()) {
    if (count_ == 1) WriteFileAtomic(file_, "");
    const nlohmann::ordered_json row = {{"file", path}, {"line", line}, {"reason", reason}};
    AppendFile out(file_);
    out.Append(row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }
  if (count_ <= max_rejects_) return;
  const std::string where = file_.empty() ? "" : fmt::format("; the bad records are listed in {}", file_.string());
  std::string hint = fmt::format("more than {} bad records: mend them, or raise --max-rejects{}", max_rejects_, where);
  if (max_rejects_ == 0) hint = "mend or remove the line, or allow bad records with --max-rejects" + where;
  if (max_rejects_ == kNoneAllowed) hint = "mend or remove the line";
  throw Error(Code::kData, fmt::format("{}:{}: the record {}", path, line, reason), hint);
}

struct JsonlReader::Impl {
  Impl(const std::filesystem::path& p, Rejects* r, JsonlOptions o)
      : path(p.string()), rejects(r), options(o), lines(p, o) {}

  // What is wrong with the line in `line`, or nothing: then record is filled.
  std::optional<std::string> Parse(Record* record) {
    const size_t size = line.size();
    line.append(simdjson::SIMDJSON_PADDING, '\0');
    const std::string_view json(line.data(), size);
    simdjson::dom::element root;
    if (const auto code = parser.parse(line.data(), size, false).get(root); code != simdjson::SUCCESS)
      return ParseReason(code);
    simdjson::dom::object object;
    if (root.get_object().get(object) != simdjson::SUCCESS) return "is not a JSON object";
    bool has_text = false, has_id = false;
    for (const auto field : object) {
      if (field.key == "text") {
        if (has_text) return "has two fields 'text'";
        has_text = true;
        std::string_view text;
        if (field.value.get_string().get(text) != simdjson::SUCCESS) return "has a field 'text' that is not a string";
        if (text.empty()) return "has an empty 'text'";
        if (!simdjson::validate_utf8(text.data(), text.size())) return "has a lone surrogate in 'text'";
        record->text = text;
      } else if (options.need_id && field.key == "id") {
        if (has_id || field.value.get_uint64().get(record->id) != simdjson::SUCCESS)
          return "has a field 'id' that is not one whole number from 0 to 2^64 - 1";
        has_id = true;
      } else if (field.key == "meta" && !field.value.is_null()) {
        meta = simdjson::minify(field.value);
        if (!simdjson::validate_utf8(meta.data(), meta.size())) return "has a lone surrogate in 'meta'";
        record->meta = meta;
      }
    }
    if (!has_text && options.need_text) return "has no field 'text'";
    if (!has_id && options.need_id) return "has no field 'id'";
    record->json = json;
    return std::nullopt;
  }

  const std::string path;
  Rejects* const rejects;
  const JsonlOptions options;
  LineReader lines;
  simdjson::dom::parser parser;
  std::string line, meta;
  int64_t line_number = 0, record_number = 0;
};

JsonlReader::JsonlReader(const std::filesystem::path& path, Rejects* rejects, JsonlOptions options)
    : impl_(std::make_unique<Impl>(path, rejects, options)) {}
JsonlReader::~JsonlReader() = default;
int64_t JsonlReader::lines() const {
  return impl_->line_number;
}
int64_t JsonlReader::records() const {
  return impl_->record_number;
}

bool JsonlReader::Next(Record* record) {
  Impl& r = *impl_;
  int64_t bytes = 0;
  while (r.lines.Next(&r.line, &bytes)) {
    ++r.line_number;
    if (r.line_number == 1 && r.options.begin == 0 && r.line.starts_with("\xef\xbb\xbf")) r.line.erase(0, 3);
    if (IsBlank(r.line) && bytes <= r.options.max_line_bytes) continue;
    *record = Record();
    record->number = r.record_number++;
    record->line = r.line_number;
    std::optional<std::string> fault;
    if (bytes > r.options.max_line_bytes) {
      fault = fmt::format("is {} bytes long, more than the limit of {}", bytes, r.options.max_line_bytes);
    } else {
      fault = r.Parse(record);
    }
    if (!fault) return true;
    r.rejects->Add(r.path, r.line_number, *fault);
  }
  return false;
}

}  // namespace hullft::index
