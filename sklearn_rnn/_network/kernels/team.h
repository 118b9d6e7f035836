// Threads that share the work of a kernel.
#pragma once

constexpr int MOST_PARTS = (1 << 10) - 1;  // and threads

// Calls part(context, k) for k from 0 to n_parts - 1, of which there are at most MOST_PARTS, in at most `n_threads`
// threads; the calling thread is one of them. Returns when all calls have ended. Which thread runs which part depends on
// chance: the result must not. While the threads work for another caller, all parts run in the calling thread.
void run_parts(int n_threads, int n_parts, void (*part)(const void *context, int k), const void *context);

namespace {

// The same for function(k).
template <class Function>
void for_parts(int n_threads, int n_parts, const Function &function) {
    run_parts(
        n_threads, n_parts, [](const void *context, int k) { (*static_cast<const Function *>(context))(k); }, &function);
}

}  // namespace
