// hullft doctor: what this build and this machine can do, and whether the output folder can be written.
#include <dlfcn.h>
#include <faiss/Index.h>
#include <rocksdb/version.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/blas.h"
#include "common/error.h"
#include "common/files.h"
#include "common/options.h"
#include "common/parallel.h"
#include "common/progress.h"
#include "coordinator/commands/commands.h"
#include "worker/system_info.h"
#ifdef HULLFT_MPI
#include <mpi.h>
#endif

namespace hullft::coordinator {
namespace {

using worker::Facts;

// The library whose sgemm_ this process uses, Torch and FAISS alike: several export one, the first in line wins.
std::string SgemmLibrary() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(&sgemm_), &info) == 0 || info.dli_fname == nullptr) return "unknown";
  return std::filesystem::path(info.dli_fname).filename();
}

double ReadMeminfo(const std::string& key) {
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  double kib = 0;
  while (file >> name >> kib >> unit) {
    if (name == key + ":") return kib * 1024;
  }
  return 0;
}

Facts Versions() {
  Facts facts = {{"hullft", HULLFT_VERSION}, {"compiler", "g++ " __VERSION__}};
  for (auto& fact : worker::TorchFacts()) facts.push_back(std::move(fact));
  facts.emplace_back("sgemm from", SgemmLibrary());
  facts.emplace_back("FAISS", fmt::format("{}.{}.{}", FAISS_VERSION_MAJOR, FAISS_VERSION_MINOR, FAISS_VERSION_PATCH));
  facts.emplace_back("RocksDB", fmt::format("{}.{}.{}", ROCKSDB_MAJOR, ROCKSDB_MINOR, ROCKSDB_PATCH));
#ifdef HULLFT_MPI
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);  // allowed before MPI_Init. ignored: the fact stays empty
  const std::string library(text, static_cast<size_t>(length));
  facts.emplace_back("MPI", library.substr(0, library.find(',')));
#else
  facts.emplace_back("MPI", "not built in (cmake -DHULLFT_MPI=ON)");
#endif
  return facts;
}

Facts Machine() {
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) throw IoError("read", "the host's name");
  const int online = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  return {{"host", host},
          {"cores", fmt::format("{} usable of {}", UsableCores(), online)},
          {"memory", fmt::format("{} available of {}", FormatBytes(ReadMeminfo("MemAvailable")),
                                 FormatBytes(ReadMeminfo("MemTotal")))}};
}

// Writes, syncs and removes a small file: what a journal needs.
Facts WriteTest(const std::string& folder) {
  MakeFolders(folder);
  const std::string path = folder + "/.hullft_doctor";
  {
    AppendFile file(path);
    file.Append("write test\n");
    file.Sync();
  }
  std::filesystem::remove(path);
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) throw IoError("stat", folder);
  return {{"output folder",
           fmt::format("{} can be written, {} free", folder,
                       FormatBytes(static_cast<double>(info.f_bavail) * static_cast<double>(info.f_frsize)))}};
}

}  // namespace

int DoctorCommand(const Arguments& args) {
  std::string output = ".";
  bool json = false;
  OptionTable table("hullft doctor",
                    "Shows what this build and this machine can do, and tests writing to the output folder.");
  table.Add("output", &output, "folder whose writing is tested");
  table.Add("json", &json, "print JSON");
  table.Example("hullft doctor --output runs");
  if (table.Parse(args)) return 0;
  Facts facts = Versions();
  for (Facts part : {Machine(), WriteTest(output)}) facts.insert(facts.end(), part.begin(), part.end());
  if (json) {
    nlohmann::ordered_json object;
    for (const auto& [name, value] : facts) object[name] = value;
    std::printf("%s\n", object.dump(2).c_str());
  } else {
    for (const auto& [name, value] : facts) std::printf("%-16s%s\n", name.c_str(), value.c_str());
  }
  return 0;
}

}  // namespace hullft::coordinator
