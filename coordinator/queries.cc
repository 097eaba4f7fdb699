#include "coordinator/queries.h"

#include <nlohmann/json.hpp>
#include <unordered_map>

#include "common/error.h"
#include "common/hash.h"
#include "index/jsonl_reader.h"

namespace hullft::coordinator {
namespace {

std::string Subset(std::string_view meta) {
  if (meta.empty()) return "all";
  const nlohmann::json json = nlohmann::json::parse(meta, nullptr, false);
  if (!json.is_object()) return "all";
  const auto name = json.find("pile_set_name");
  return name != json.end() && name->is_string() ? name->get<std::string>() : "all";
}

}  // namespace

std::string QueryKey(std::string_view text, int64_t occurrence, std::string_view identity) {
  return Hasher().Update(text).Update(std::to_string(occurrence)).Update(identity).Hex();
}

QueryFile ReadQueries(const std::filesystem::path& path, const std::vector<std::string>& identities, int64_t limit,
                      const std::filesystem::path& rejects_file, int64_t max_rejects) {
  QueryFile file;
  index::Rejects rejects(rejects_file, max_rejects);
  index::JsonlReader reader(path, &rejects);
  std::unordered_map<std::string, int64_t> seen;
  for (index::Record record; reader.Next(&record);) {
    file.records = record.number + 1;
    if (limit > 0 && static_cast<int64_t>(file.queries.size()) >= limit) continue;  // still counts and checks the rest
    Query query;
    query.number = record.number;
    query.text = record.text;
    query.subset = Subset(record.meta);
    query.text_hash = HashHex(query.text);
    const int64_t occurrence = seen[query.text_hash]++;
    for (const std::string& identity : identities) query.keys.push_back(QueryKey(query.text, occurrence, identity));
    file.queries.push_back(std::move(query));
  }
  file.rejects = rejects.count();
  if (file.queries.empty()) {
    throw Error(Code::kData, fmt::format("{} holds no query", path.string()), "each line is {\"text\": \"...\"}");
  }
  return file;
}

}  // namespace hullft::coordinator
