// A checkpoint under other names, as other versions of other programs have written it.
#pragma once

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>

#include "common/files.h"

namespace hullft {

// In a .safetensors file: what the pattern matches of each tensor's name becomes `replacement`.
inline void RenameTensors(const std::filesystem::path& path, const std::string& pattern,
                          const std::string& replacement) {
  const std::string file = ReadFile(path);
  uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  const nlohmann::json old = nlohmann::json::parse(file.substr(8, length));
  nlohmann::json header;
  for (const auto& [name, entry] : old.items()) {
    const bool tensor = name != "__metadata__";
    header[tensor ? std::regex_replace(name, std::regex(pattern), replacement) : name] = entry;
  }
  const std::string text = header.dump(), data = file.substr(8 + length);
  length = text.size();
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(&length), 8);
  out << text << data;
}

}  // namespace hullft
