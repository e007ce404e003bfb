// What the tables in tables.cpp consist of: the project's variables, inputs and results.
// Part of neurosnn, MIT licence.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "npy.h"

namespace neurosnn {

// A variable of Brian2 that can be set from a file, or by --set. Several synapses may share a file.
struct Variable {
    const char *name, *file, *unit, *standard;
    char kind;  // 'f' real, 'i' whole, 'b' true or false
    bool settable;
    double low, high;
    bool includes_low;
    size_t rows, columns;  // of the matrix of synapses in its file, 0 if the file is a plain list
    const signed char* sign;  // of the synapses of each row, or null
    const char* raw;  // Brian2's file with the values at the end, or null
    std::function<size_t()> size;
    std::function<void(size_t, double)> write;
    std::function<int64_t(size_t)> row, column;
    std::function<void()> upload;
};

// A SpikeGeneratorGroup: files NAME.i.npy and NAME.t.npy.
struct Generator {
    const char* name;
    size_t n;
    double dt;
    std::function<void(const std::vector<int32_t>&, const std::vector<double>&, const std::vector<int32_t>&)> write;
};

// A TimedArray: per_trial rows for each trial and `extra` more; per_trial 0: any number.
struct Timed {
    const char *name, *unit;
    size_t columns;  // 0: one-dimensional
    size_t per_trial, extra;
    std::function<void(const std::vector<double>&, size_t)> write;
};

// A file of Brian2's that is a result.
struct Result {
    const char *file, *raw, *type;
    size_t columns;  // 0: one-dimensional
};

// The project. A network of trials has a period in steps; without one it runs for `duration`.
struct Project {
    const char* title;
    double dt, duration;
    bool has_trials, several_trials;
    size_t period, longest, extra;
};

extern const Project project;
extern std::vector<Variable>& variables();
extern const std::vector<Generator>& generators();
extern const std::vector<Timed>& timed_arrays();
extern const std::vector<Result>& results();

template <typename Target, typename Source>
void assign(Target& target, const std::vector<Source>& source) {
    target.resize(source.size());
    for (size_t k = 0; k < source.size(); k++) target[k] = source[k];
}

template <typename T>
void replace(T*& target, const std::vector<double>& source) {
    delete[] target;
    target = new T[source.size()];
    for (size_t k = 0; k < source.size(); k++) target[k] = static_cast<T>(source[k]);
}

}  // namespace neurosnn
