#include "index/inputs.h"

#include <simdjson.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/files.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;

bool LooksLikeJsonl(const fs::path& path) {
  const fs::path stem = path.extension() == ".gz" || path.extension() == ".zst" ? path.stem() : path.filename();
  return stem.extension() == ".jsonl";
}

void ListFolder(const fs::path& folder, std::vector<InputFile>* files) {
  std::vector<InputFile> found;
  for (auto it = fs::recursive_directory_iterator(folder); it != fs::recursive_directory_iterator(); ++it) {
    if (it->path().filename().string().starts_with('.')) {
      if (it->is_directory()) it.disable_recursion_pending();
      continue;
    }
    if (!it->is_regular_file()) continue;
    if (LooksLikeJsonl(it->path())) {
      throw Error(Code::kData, it->path().string() + " is a JSONL file inside a folder of texts",
                  "give JSONL files one by one with --input, and folders only for plain text files");
    }
    found.push_back({it->path(), 0, true, it->path().lexically_relative(folder).generic_string()});
  }
  if (found.empty()) throw Error(Code::kData, folder.string() + " holds no files", "give a folder of text files");
  std::sort(found.begin(), found.end(), [](const InputFile& a, const InputFile& b) { return a.name < b.name; });
  files->insert(files->end(), found.begin(), found.end());
}

bool IsSpace(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos;
}

InputCounts ReadTextFile(const InputFile& file, const InputOptions& options, Rejects* rejects,
                         const std::function<void(const InputRecord&)>& take) {
  const MappedFile map(file.path);
  const std::string_view all(reinterpret_cast<const char*>(map.bytes().data()), map.bytes().size());
  const std::string meta =
      nlohmann::json{{"file", file.name}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  InputCounts counts;
  CutIntoChunks(all, options.chunk_bytes, [&](std::string_view chunk, int64_t line) {
    if (IsSpace(chunk)) return;
    const SequenceId id = MakeId(file.number, counts.records++);
    if (!simdjson::validate_utf8(chunk.data(), chunk.size())) {
      rejects->Add(file.path.string(), line, "starts a piece of text that is not valid UTF-8");
      return;
    }
    ++counts.good;
    take({id, chunk, meta});
  });
  return counts;
}

}  // namespace

std::vector<InputFile> ListInputs(const std::vector<std::string>& inputs) {
  std::vector<InputFile> files;
  for (const std::string& input : inputs) {
    std::error_code error;  // ignored: `status` says that there is nothing
    const fs::file_status status = fs::status(input, error);
    if (!fs::exists(status)) throw Error(Code::kData, input + " does not exist", "check --input");
    if (fs::is_directory(status)) {
      ListFolder(input, &files);
    } else {
      files.push_back({input, 0, false, ""});
    }
  }
  if (files.size() >= 1u << 24) throw DataError("{} input files are more than 2^24: join some", files.size());
  for (size_t i = 0; i < files.size(); ++i) files[i].number = static_cast<int64_t>(i);
  return files;
}

InputCounts ReadInput(const InputFile& file, const InputOptions& options, Rejects* rejects,
                      const std::function<void(const InputRecord&)>& take) {
  if (file.is_text) return ReadTextFile(file, options, rejects, take);
  JsonlReader reader(file.path, rejects,
                     {.max_line_bytes = options.max_line_bytes,
                      .need_id = options.keep_ids,
                      .begin = options.begin,
                      .end = options.end});
  Record record;
  int64_t good = 0;
  while (reader.Next(&record)) {
    ++good;
    const SequenceId id = options.keep_ids ? SequenceId{record.id} : MakeId(file.number, record.number);
    take({id, record.text, record.meta});
  }
  return {reader.records(), good, reader.lines()};
}

void CutIntoChunks(std::string_view text, int64_t max_bytes,
                   const std::function<void(std::string_view, int64_t)>& take) {
  const auto limit = static_cast<size_t>(std::max<int64_t>(max_bytes, 4));  // a character has up to 4 bytes
  int64_t line = 1;
  size_t begin = 0;
  while (begin < text.size()) {
    size_t end = std::min(begin + limit, text.size());
    if (end < text.size()) {
      const size_t newline = text.rfind('\n', end - 1);
      if (newline != std::string_view::npos && newline >= begin) {
        end = newline + 1;
      } else {  // one long line: back to a character's first byte (at most 3 steps; invalid UTF-8 is cut anywhere)
        for (int back = 0; back < 3 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80; ++back) --end;
      }
    }
    const std::string_view chunk = text.substr(begin, end - begin);
    take(chunk, line);
    line += std::count(chunk.begin(), chunk.end(), '\n');
    begin = end;
  }
}

}  // namespace hullft::index
