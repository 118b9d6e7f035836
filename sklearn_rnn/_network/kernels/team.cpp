// A thread that sleeps needs some 50 microseconds to begin, as long as many small kernels take. So the threads of the
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

void pause() {
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
            pause();
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

// One caller at a time has a job for the team: some parts. `ticket` tells which ones nobody has taken.
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
        number++;
        ticket.store(Ticket{number, n_helpers, n_parts}.bits());
        for (int k = 0; k < n_helpers && k < static_cast<int>(helpers.size()); k++)
            if (helpers[k]->sleeps.load()) {
                std::lock_guard<std::mutex> lock(mutex);
                helpers[k]->wakes.notify_one();
            }
        work(0);
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

    // The state of a job in one number. The number of the job makes the tickets of two jobs different: a helper that
    // read a ticket too long ago takes nothing.
    struct Ticket {
        uint32_t job;
        int n_helpers, n_left;  // parts that nobody has taken

        explicit Ticket(uint64_t bits)
            : job(static_cast<uint32_t>(bits >> 32)),
              n_helpers(static_cast<int>(bits >> 16 & 0xffff)),
              n_left(static_cast<int>(bits & 0xffff)) {}
        Ticket(uint32_t job, int n_helpers, int n_left) : job(job), n_helpers(n_helpers), n_left(n_left) {}
        uint64_t bits() const {
            return static_cast<uint64_t>(job) << 32 | static_cast<uint64_t>(n_helpers) << 16 |
                   static_cast<uint64_t>(n_left);
        }
    };

    std::atomic_flag is_busy = ATOMIC_FLAG_INIT;
    Job job{};            // read only by those who have taken a part of it
    uint32_t number = 0;  // of the job
    std::atomic<uint64_t> ticket{0};
    std::atomic<int> n_unfinished{0};  // parts
    std::atomic<bool> caller_sleeps{false};
    std::mutex mutex;  // for the conditions alone
    std::condition_variable is_done;
    std::vector<Helper *> helpers;  // only the caller who has the team changes and reads it

    // Whether there is a part for a thread: the caller is 0, helpers count from 1.
    bool has_part_for(int thread) const {
        const Ticket now(ticket.load());
        return now.n_left > 0 && thread <= now.n_helpers;
    }

    // Runs parts until all are taken.
    void work(int thread) {
        uint64_t bits = ticket.load();
        while (true) {
            const Ticket now(bits);
            if (now.n_left == 0 || thread > now.n_helpers) return;
            if (!ticket.compare_exchange_weak(bits, bits - 1)) continue;
            job.function(job.context, now.n_left - 1);
            if (n_unfinished.fetch_sub(1) == 1 && caller_sleeps.load()) {
                std::lock_guard<std::mutex> lock(mutex);
                is_done.notify_one();
            }
            bits = ticket.load();
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

    void help(int thread, Helper *self) {
        const auto has_part = [&] { return has_part_for(thread); };
        while (true) {
            if (!spin_until(has_part)) {
                std::unique_lock<std::mutex> lock(mutex);
                self->sleeps.store(true);
                self->wakes.wait(lock, has_part);
                self->sleeps.store(false);
            }
            work(thread);
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
