// The queries of a run: documents of a JSONL file, each with the key under which the journal knows it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace hullft::coordinator {

struct Query {
  int64_t number = 0;             // record number in the file, from 0
  std::string text, subset;       // subset: meta.pile_set_name, or "all"
  std::vector<std::string> keys;  // QueryKey, by identity
  std::string text_hash;  // HashHex(text): what the method random draws by, so that draws agree between settings
};

// The same text a second time is occurrence 1, and so on: every line of the file gets a row of its own.
std::string QueryKey(std::string_view text, int64_t occurrence, std::string_view identity);

struct QueryFile {
  std::vector<Query> queries;
  int64_t records = 0;  // with rejected ones: what a row number in --query-embeddings counts
  int64_t rejects = 0;
};

// identities: of the settings that the queries are run with. Reads at most limit queries (0: all). Bad records go to
// rejects_file; more of them than max_rejects is a kData error. Throws kData for a file without any query.
QueryFile ReadQueries(const std::filesystem::path& path, const std::vector<std::string>& identities, int64_t limit,
                      const std::filesystem::path& rejects_file, int64_t max_rejects);

}  // namespace hullft::coordinator
