// The only file that calls MPI: packets over non-blocking sends and receives, and the translation of its errors. Every
// function is called by the one thread that made the link.
//
// A packet travels as one MPI message of a header and, when it is small, its payload; a larger payload follows in
// pieces of at most piece_bytes. MPI keeps the order of messages of one tag from one rank, so that pieces find their
// packet: a source's packets are completed, and given out, one after the other.
#pragma once

#include <mpi.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/comm/endpoint.h"
#include "common/comm/mpi.h"

namespace hullft::comm {

class MpiLink {
 public:
  // MPI_Init_thread; then CheckWorldSize. Errors end the MPI job or finalize MPI, and throw.
  explicit MpiLink(const MpiOptions& options);

  int rank() const { return rank_; }
  int size() const { return size_; }
  const std::vector<std::string>& hosts() const { return hosts_; }

  // Begins to send; the link owns the packet until it is gone.
  void Start(int destination, Packet packet);
  // Moves everything along; calls `arrived` for each whole packet. True when anything moved.
  bool Advance(const std::function<void(Packet)>& arrived);
  // Nothing is on its way out, or half in.
  bool Idle() const { return requests_.empty() && inbound_.empty(); }
  void Finalize();
  [[noreturn]] static void Abort(int exit_status);

 private:
  struct Outbound {
    std::string head, payload;
  };
  struct Inbound {
    std::string head;
    std::vector<MPI_Request> requests;  // of the head, then of the payload's pieces
    bool head_done = false;
    Packet packet;
  };
  void GatherHosts(std::chrono::milliseconds wait);
  bool Probe();
  bool AdvanceSends();
  bool AdvanceSource(int source, std::deque<Inbound>& queue, const std::function<void(Packet)>& arrived);
  // Reads the head; posts receives for the payload that follows it, if any.
  void OpenHead(int source, Inbound& inbound);
  std::string Who(int rank) const;

  const size_t piece_bytes_;
  int rank_ = 0, size_ = 0;
  std::vector<std::string> hosts_;
  std::vector<MPI_Request> requests_;              // sends under way
  std::vector<std::shared_ptr<Outbound>> owners_;  // of each of requests_
  std::vector<int> done_;                          // scratch of AdvanceSends
  std::map<int, std::deque<Inbound>> inbound_;     // by source; no empty queues
};

}  // namespace hullft::comm
