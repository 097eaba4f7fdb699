// What is said when a mapped file is cut, or its disk fails, while it is read: the kernel sends SIGBUS, which would end
// the process without a word. The handler names the file, the host and the rank, and ends the process with kIo's
// status; under MPI that ends the job, and the same command goes on from the journal. A SIGBUS from anywhere else (a
// library's own map) ends the process as ever, behind one line.
//
// Not a way to go on: what the reader would have seen is gone. Thread safety: everything may be called from any thread.
#pragma once

#include <cstddef>
#include <string>

namespace hullft {

// speaker: the host, and the rank where there is one, for the message; at most 200 bytes of it are kept. Call it before
// MPI is started: Open MPI leaves handlers alone that it finds. A later call changes the speaker.
void InstallMapFaultHandler(const std::string& speaker);

// Of MappedFile: a map that the handler knows by its file's name. Beyond 1,024 at a time maps have no name.
void NameMap(const void* begin, size_t bytes, const std::string& path);
void ForgetMap(const void* begin);

}  // namespace hullft
