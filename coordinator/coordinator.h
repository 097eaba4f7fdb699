// The coordinator: reads queries, starts rounds, hands finished selections to workers, journals what comes back.
//
// It holds no model and no vector. Runs on one thread, from construction to the end of Run. Memory: texts of all
// queries, and the selections of the few that are ready or in flight (rounds run ahead of the workers by about one
// batch).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/comm/communicator.h"
#include "common/log_file.h"
#include "common/tokenizer/tokenizer.h"
#include "coordinator/disk_watch.h"
#include "coordinator/journal.h"
#include "coordinator/layout.h"
#include "coordinator/live_page.h"
#include "coordinator/messages.h"
#include "coordinator/queries.h"
#include "coordinator/run_display.h"
#include "coordinator/run_folder.h"
#include "coordinator/run_rank.h"
#include "coordinator/run_stats.h"
#include "coordinator/scheduler.h"
#include "coordinator/score_cache.h"

namespace hullft::coordinator {

// What the run folder tells of the start.
struct RunHeader {
  std::string layout_table;
  std::string search;  // SearchText: which index, and how much of the nearest it finds
};

class Coordinator {
 public:
  // identity: options and digests that all ranks agreed on. arithmetics: by worker (worker::Tuner::arithmetic). Opens
  // the run folder, reads queries and journal. world, layout, plan and context outlive it.
  Coordinator(comm::Communicator& world, const Layout& layout, const RunHeader& header, const RunPlan& plan,
              const RankContext& context, const Identity& identity, const std::vector<std::string>& arithmetics);
  // Until every query has its row, or a stop was asked for; then sends Stop to all roles. When it throws, the caller
  // must.
  RunOutcome Run();

 private:
  struct Open {  // a task that is in a round, ready, or in flight
    double embed_ms = 0;
    bool in_round = true;  // what is chosen for it has not come yet
    int asked_again = 0;   // as something of it came damaged
    Selected selected;
  };
  struct Embedding {             // a batch at a worker
    std::vector<int64_t> tasks;  // rising: of the queries that are embedded, those that the round is for
    int worker = 0;              // index into layout.workers
    double sent = 0;
    std::set<int> tried;
  };

  int64_t TakeQueries(const Identity& identity);
  void FindPending();
  void StartRounds();
  size_t Arrived() const;
  std::chrono::milliseconds Patience() const;
  void SendEmbedding(int64_t round, Embedding* embedding);
  void SendTexts(int64_t round, const Embedding& embedding);
  void ExpireEmbeddings();
  void SendRound(int64_t round, const std::vector<int64_t>& tasks);
  void Dispatch();
  void SendTask(int64_t task, int worker);
  void Handle(const comm::Envelope& envelope);
  void OnEmbedDone(const EmbedDone& done);
  void OnSelected(Selected selected);
  void OnDamaged(int rank);
  void OnDamagedAtRole(const Damaged& damaged, int rank);
  void SendAgain(int worker, const Damaged& has);
  void StartRound(const std::vector<int64_t>& tasks);
  void AskRoundsAgain();
  bool ChooseAgain(int64_t task, const std::string& why);
  void CountDamage(int rank);
  void OnTuneDone(const TuneDone& done, int rank);
  void GiveUp(int64_t task, const std::string& reason, int rank, int attempts);
  Row EmptyRow(int64_t task) const;
  Row RowOf(int64_t task, const Selected& selected, const TuneDone& done, double embed_ms) const;
  RoundQuery QuestionOf(int64_t query) const;
  // A task is a query with a setting; the scheduler knows it by its number.
  int64_t TaskOf(int64_t query, int setting) const { return query * static_cast<int64_t>(grid_.size()) + setting; }
  int64_t QueryOf(int64_t task) const { return task / static_cast<int64_t>(grid_.size()); }
  int SettingOf(int64_t task) const { return static_cast<int>(task % static_cast<int64_t>(grid_.size())); }
  std::vector<int64_t> QueriesOf(const std::vector<int64_t>& tasks) const;
  double Cost(const Selected& selected) const;
  void OpenScoreCache(const Identity& identity, const std::vector<std::string>& arithmetics);
  std::string ScoreKey(int64_t query, int worker) const;
  void OnStage(const StageEvent& event, int rank);
  void OnBye(const Bye& bye, int rank);
  int WorkerOf(int rank) const;
  void ShowProgress();
  void WriteStatus(const std::string& state);
  RunStatus Status(const std::string& state) const;
  RunView View() const;
  void StopAll();
  void WaitForByes(double seconds);
  void TakeStats();
  void Finish();
  double Now() const;

  comm::Communicator& world_;
  const Layout& layout_;
  const RunPlan& plan_;
  const RankContext& context_;
  const std::vector<RunSetting> grid_;
  RunFolder folder_;
  std::optional<LogFile> log_;  // of the run folder
  DiskWatch disk_;
  std::vector<Query> queries_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Tokenizer> tokenizer_;      // with --guard mark or drop: shards have none
  std::unique_ptr<ScoreCache> score_cache_;   // with --score-cache
  std::vector<ScoreSetting> score_settings_;  // by worker
  RunDisplay display_;
  Scheduler scheduler_;
  std::vector<int64_t> pending_;                // queries in order; next_ is the first not yet in a round
  std::map<int64_t, std::vector<int>> wanted_;  // of a pending query: settings without a row
  size_t next_ = 0;
  int64_t next_round_ = 0, in_rounds_ = 0;   // in_rounds_: tasks
  std::map<int64_t, Embedding> embeddings_;  // by round
  std::map<int64_t, Open> open_;             // by task
  std::map<int64_t, std::string> last_failure_;
  std::vector<std::optional<StageEvent>> stages_;  // by worker: the last event of a task in flight
  std::vector<int64_t> finished_by_;               // by worker
  bool stopping_ = false;                          // Stop was sent
  int64_t damaged_ = 0;                            // messages, and tasks of which something had changed
  std::set<int> worker_byes_, shard_byes_;
  std::map<int, RankTraffic> traffic_;      // by rank, of those that said Bye
  bool stop_requested_ = false;             // by a signal to another rank
  double next_status_ = 0, next_live_ = 0;  // s: when status.json is written, and the page told, again
  std::unique_ptr<LivePage> live_;          // with --http
  const comm::Clock::time_point start_ = comm::Clock::now();
  RunOutcome outcome_;
};

}  // namespace hullft::coordinator
