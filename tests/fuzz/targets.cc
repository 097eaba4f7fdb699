#include "tests/fuzz/targets.h"

#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "common/error.h"

namespace hullft::fuzz {
namespace {
namespace fs = std::filesystem;

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "hullft_fuzz_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw IoError("create folder", name);
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;  // what is left lies in the folder for temporary files
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

fs::path InFile(const std::string& name, std::string_view content) {
  static const ScratchFolder folder;
  const fs::path path = folder.path() / name;
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (!file) throw IoError("write", path.string());
  return path;
}

std::string_view Part(std::string_view input, size_t n) {
  constexpr std::string_view kBetween = "\n====\n";
  for (; n > 0; --n) {
    const size_t end = input.find(kBetween);
    if (end == std::string_view::npos) return "";
    input.remove_prefix(end + kBetween.size());
  }
  return input.substr(0, input.find(kBetween));
}

void Require(bool condition, const char* property) {
  if (!condition) throw std::logic_error(std::string("does not hold: ") + property);
}

bool Accepted(void (*reader)(const void*), const void* argument) {
  try {
    reader(argument);
    return true;
  } catch (const Error& error) {
    if (error.code() == Code::kInternal) throw;
    Require(!error.message().empty(), "an error says what is wrong");
    return false;
  }
}

}  // namespace hullft::fuzz
