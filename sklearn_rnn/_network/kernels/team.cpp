// A thread that sleeps needs tens of microseconds to begin, as long as many small kernels take. So the threads of the
// team look out for work for a while before they sleep, and whoever has work never waits for a thread to begin: parts
// that no other thread has taken, it runs itself.
#include "team.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>
#ifndef _WIN32
#include <pthread.h>
#include <signal.h>
#endif

namespace {

// A training update runs Python code between its kernels: a thread stays awake as long as this usually takes.
constexpr std::chrono::microseconds SPIN(1000);

// A moment's rest for the processor, or for the other thread of its core.
void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Looks again and again whether the condition holds; false if it still does not after SPIN.
template <class Condition>
bool spin_until(const Condition &holds) {
    const auto end = std::chrono::steady_clock::now() + SPIN;
    do
        for (int i = 0; i < 32; i++) {
            if (holds()) return true;
            relax();
        }
    while (std::chrono::steady_clock::now() < end);
    return holds();
}

// While this lives, the calling thread blocks all signals, and so does each thread that it starts: Python's handlers
// belong to Python's threads.
class NoSignals {
  public:
#ifndef _WIN32
    NoSignals() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
    }
    ~NoSignals() { pthread_sigmask(SIG_SETMASK, &before, nullptr); }

  private:
    sigset_t before;
#endif
};

// One caller at a time has a job for the team: some parts. A thread takes the part with its own number first, so that
// from one job to the next it finds the same sequences in its cache; then it looks for others that nobody has taken.
class Team {
  public:
    void run(int n_threads, int n_parts, void (*function)(const void *, int), const void *context) {
        if (n_threads < 2 || n_parts < 2 || is_busy.test_and_set(std::memory_order_acquire)) {
            for (int k = 0; k < n_parts; k++) function(context, k);
            return;
        }
        const int n_helpers = n_threads < n_parts ? n_threads - 1 : n_parts - 1;
        start_helpers(n_helpers);
        job = {function, context};
        n_unfinished.store(n_parts, std::memory_order_relaxed);
        const Ticket ticket{Ticket(newest.load()).job + 1, n_helpers, n_parts};
        newest.store(ticket.bits());
        for (int k = 0; k < n_helpers && k < static_cast<int>(helpers.size()); k++)
            if (helpers[k]->sleeps.load()) {
                std::lock_guard<std::mutex> lock(mutex);
                helpers[k]->wakes.notify_one();
            }
        work(ticket, 0);
        wait_for_others();
        is_busy.clear(std::memory_order_release);
    }

  private:
    struct Job {
        void (*function)(const void *, int);
        const void *context;
    };

    struct Helper {
        std::atomic<bool> sleeps{false};
        std::condition_variable wakes;
    };

    // What a thread must know of a job before it takes a part, in one number.
    struct Ticket {
        uint64_t job;  // its number
        int n_helpers, n_parts;

        Ticket(uint64_t job, int n_helpers, int n_parts) : job(job), n_helpers(n_helpers), n_parts(n_parts) {}
        explicit Ticket(uint64_t bits)
            : Ticket(bits >> 20, static_cast<int>(bits >> 10 & MOST_PARTS), static_cast<int>(bits & MOST_PARTS)) {}
        uint64_t bits() const {
            return job << 20 | static_cast<uint64_t>(n_helpers) << 10 | static_cast<uint64_t>(n_parts);
        }
    };

    std::atomic_flag is_busy = ATOMIC_FLAG_INIT;
    Job job{};                                     // read only by those who have taken a part of it
    std::atomic<uint64_t> newest{0};               // ticket
    std::atomic<uint64_t> taken[MOST_PARTS] = {};  // the last job of which this part was taken
    std::atomic<int> n_unfinished{0};              // parts
    std::atomic<bool> caller_sleeps{false};
    std::mutex mutex;  // for the conditions alone
    std::condition_variable is_done;
    std::vector<Helper *> helpers;  // only the caller who has the team changes and reads it

    // Takes a part, unless another thread has done so. All parts of earlier jobs are taken: so a helper that read its
    // ticket too long ago takes nothing.
    bool take(uint64_t job_number, int part) {
        uint64_t last = taken[part].load();
        return last < job_number && taken[part].compare_exchange_strong(last, job_number);
    }

    // Runs parts until all are taken: the thread's own, then those after it. The caller is thread 0.
    void work(const Ticket &ticket, int thread) {
        for (int i = 0; i < ticket.n_parts; i++) {
            const int part = (thread + i) % ticket.n_parts;
            if (!take(ticket.job, part)) continue;
            job.function(job.context, part);
            if (n_unfinished.fetch_sub(1) == 1 && caller_sleeps.load()) {
                std::lock_guard<std::mutex> lock(mutex);
                is_done.notify_one();
            }
        }
    }

    void wait_for_others() {
        const auto all_ended = [&] { return n_unfinished.load() == 0; };
        if (spin_until(all_ended)) return;
        std::unique_lock<std::mutex> lock(mutex);
        caller_sleeps.store(true);
        is_done.wait(lock, all_ended);
        caller_sleeps.store(false);
    }

    // Helpers count from 1.
    void help(int thread, Helper *self) {
        uint64_t last = 0, bits = 0;  // the job that it has worked at; the newest ticket
        const auto has_work = [&] {
            bits = newest.load();
            return Ticket(bits).job != last && thread <= Ticket(bits).n_helpers;
        };
        while (true) {
            if (!spin_until(has_work)) {
                std::unique_lock<std::mutex> lock(mutex);
                self->sleeps.store(true);
                self->wakes.wait(lock, has_work);
                self->sleeps.store(false);
            }
            last = Ticket(bits).job;
            work(Ticket(bits), thread);
        }
    }

    // Starts what is missing of `n` helpers. Without all of them the work is done too.
    void start_helpers(int n) {
        if (static_cast<int>(helpers.size()) >= n) return;
        const NoSignals mask;
        try {
            helpers.reserve(n);
            while (static_cast<int>(helpers.size()) < n) {
                std::unique_ptr<Helper> helper(new Helper);
                std::thread(&Team::help, this, static_cast<int>(helpers.size()) + 1, helper.get()).detach();
                helpers.push_back(helper.release());
            }
        } catch (const std::exception &) {  // the system gives no thread, or no memory
        }
    }
};

// Never destroyed: helpers may wait in it until the process ends.
alignas(Team) unsigned char memory[sizeof(Team)];

Team *new_team() { return new (memory) Team; }

Team *first_team() {
#ifndef _WIN32
    // A forked child has none of its parent's helpers, and may have been forked during a job of another thread.
    pthread_atfork(nullptr, nullptr, [] { new_team(); });
#endif
    return new_team();
}

Team *const TEAM = first_team();

}  // namespace

void run_parts(int n_threads, int n_parts, void (*part)(const void *context, int k), const void *context) {
    TEAM->run(n_threads, n_parts, part, context);
}
