// The command line, and the values that a simulation starts from.
// Part of neurosnn, MIT licence.
#pragma once

#include <algorithm>
#include <cmath>
#include <iostream>
#include <sstream>

#include "tables.h"

namespace neurosnn {

struct Options {
    fs::path out, input;
    bool has_input = false, quiet = false;
    std::map<std::string, std::string> set;
};

struct Inputs {
    fs::path folder, standard;
    std::set<std::string> in_folder;  // names of the files of `folder`, without .npy
    std::vector<size_t> n_steps;
    double duration = 0;
    size_t steps = 0;
};

inline std::string number(double x) {
    std::ostringstream text;
    text.precision(12);
    text << x;
    return text.str();
}

inline std::string range(const Variable& v) {
    std::string text;
    if (v.low > -HUGE_VAL) text = (v.includes_low ? ">= " : "> ") + number(v.low);
    if (v.high < HUGE_VAL) text += (text.empty() ? "<= " : " and <= ") + number(v.high);
    return text;
}

inline std::string unit_of(const Variable& v) { return std::string(v.unit) == "1" ? "" : " " + std::string(v.unit); }

// Refuses a value that a variable cannot have.
inline void check(const Variable& v, double x, const std::string& where) {
    if (!finite(x)) fail(where + " is not finite");
    if (v.kind != 'f' && x != std::floor(x)) fail(where + " must be a whole number, got " + number(x));
    if (v.kind == 'b' && x != 0 && x != 1) fail(where + " must be true or false, got " + number(x));
    if (x < v.low || (x == v.low && !v.includes_low) || x > v.high)
        fail(where + " must be " + range(v) + unit_of(v) + ", got " + number(x));
}

inline size_t edits(const std::string& a, const std::string& b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); j++) row[j] = j;
    for (size_t i = 1; i <= a.size(); i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); j++) {
            const size_t up = row[j];
            row[j] = std::min({up + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
            diagonal = up;
        }
    }
    return row[b.size()];
}

inline std::string did_you_mean(const std::string& name, const std::set<std::string>& known) {
    std::string best, list;
    size_t least = name.size() / 3 + 2;
    for (const std::string& k : known) {
        list += (list.empty() ? "" : ", ") + k;
        if (edits(name, k) < least) { least = edits(name, k); best = k; }
    }
    if (!best.empty()) return ". Did you mean " + best + "?";
    return list.empty() ? "" : ". Known: " + list;
}

inline const char* DURATION = "duration";

inline std::set<std::string> settable() {
    std::set<std::string> names;
    for (const Variable& v : variables())
        if (v.settable) names.insert(v.name);
    if (!project.has_trials) names.insert(DURATION);
    return names;
}

// Files that belong together: all from one folder.
inline std::vector<std::string> data_files() {
    std::vector<std::string> names;
    if (project.has_trials) names.push_back("trials");
    for (const Generator& g : generators()) {
        names.push_back(std::string(g.name) + ".i");
        names.push_back(std::string(g.name) + ".t");
    }
    for (const Timed& t : timed_arrays()) names.push_back(t.name);
    return names;
}

inline double parse_value(const std::string& name, const std::string& text) {
    if (text == "true" || text == "True") return 1;
    if (text == "false" || text == "False") return 0;
    size_t end = 0;
    double value = 0;
    try {
        value = std::stod(text, &end);
    } catch (const std::exception&) {
        end = 0;
    }
    if (text.empty() || end != text.size() || text.find_first_of("xX ") != std::string::npos)
        fail("--set " + name + ": '" + text + "' is not a number. Values are in SI units, for example 0.025");
    return value;
}

inline void set_values(const Options& options, double& duration) {
    const std::set<std::string> known = settable();
    for (const auto& [name, text] : options.set) {
        const double value = parse_value(name, text);
        if (name == DURATION && !project.has_trials) {
            if (!finite(value) || value <= 0) fail("--set duration must be a positive time, got " + text);
            duration = value;
            continue;
        }
        bool found = false;
        for (Variable& v : variables()) {
            if (name != v.name || !v.settable) continue;
            found = true;
            check(v, value, "--set " + name);
            for (size_t k = 0; k < v.size(); k++) v.write(k, value);
            v.upload();
        }
        if (!found) {
            for (const Variable& v : variables())
                if (name == v.name || name == v.file)
                    fail("--set " + name + ": give these values as a file, " + v.file + ".npy, with --input FOLDER");
            fail("--set " + name + ": there is no such parameter" + did_you_mean(name, known));
        }
    }
}

// Which files there are; a name that nothing has is an error, and so is half of the data.
inline Inputs find_inputs(const Options& options, const fs::path& here) {
    Inputs inputs;
    inputs.folder = inputs.standard = here / "inputs";
    std::set<std::string> known;
    const std::vector<std::string> data = data_files();
    known.insert(data.begin(), data.end());
    for (const Variable& v : variables()) known.insert(v.file);
    if (options.has_input) inputs.folder = options.input;
    if (!fs::is_directory(inputs.folder)) {
        if (!options.has_input && data.empty()) return inputs;
        fail("there is no folder " + inputs.folder.string());
    }
    for (const auto& entry : fs::directory_iterator(inputs.folder)) {
        if (entry.path().extension() != ".npy") continue;
        const std::string name = entry.path().stem().string();
        if (!known.count(name))
            fail(entry.path().string() + ": the program has no input of this name" + did_you_mean(name, known));
        inputs.in_folder.insert(name);
    }
    if (options.has_input && inputs.in_folder.empty())
        fail(inputs.folder.string() + " holds no .npy file: nothing would be read from it");
    std::string first, missing;
    for (const std::string& name : data) {
        if (inputs.in_folder.count(name)) first = first.empty() ? name : first;
        else missing = missing.empty() ? name : missing;
    }
    if (!missing.empty() && (!first.empty() || !options.has_input))
        fail((inputs.folder / (missing + ".npy")).string() + " is missing"
             + (first.empty() ? "" : "; it belongs to " + first + ".npy"));
    return inputs;
}

inline fs::path path_of(const Inputs& inputs, const std::string& name) {
    return (inputs.in_folder.count(name) ? inputs.folder : inputs.standard) / (name + ".npy");
}

inline void read_trials(Inputs& inputs) {
    const Array trials = read_npy(path_of(inputs, "trials"));
    const std::string& where = trials.path;
    if (trials.shape.size() != 1 || trials.values.empty())
        fail(where + " must hold the number of steps of each trial, got the shape " + trials.shape_text());
    if (!project.several_trials && trials.values.size() > 1)
        fail(where + " has " + std::to_string(trials.values.size()) + " trials: a program that was exported with one"
             " trial runs one. Export it with two or more");
    for (size_t k = 0; k < trials.values.size(); k++) {
        const double n = trials.values[k];
        if (!finite(n) || n < 1 || n != std::floor(n))
            fail(where + ": trial " + std::to_string(k) + " has " + number(n) + " steps, not a whole number from 1");
        if (project.longest && n > static_cast<double>(project.longest))
            fail(where + ": trial " + std::to_string(k) + " has " + number(n) + " steps, but the program was exported"
                 " for trials of at most " + std::to_string(project.longest));
        if (n > 2e9) fail(where + ": trial " + std::to_string(k) + " has too many steps: " + number(n));
        inputs.n_steps.push_back(static_cast<size_t>(n));
    }
    const size_t period = project.period ? project.period : inputs.n_steps[0];
    inputs.steps = inputs.n_steps.size() * period;
    if (inputs.steps + project.extra > 2000000000) fail(where + " has too many trials for one run");
    inputs.duration = static_cast<double>(inputs.steps + project.extra) * project.dt;
}

inline void read_spikes(const Inputs& inputs, const Generator& g, double duration) {
    const Array neuron = read_npy(path_of(inputs, std::string(g.name) + ".i"));
    const Array time = read_npy(path_of(inputs, std::string(g.name) + ".t"));
    const size_t n = neuron.values.size();
    if (neuron.shape.size() != 1 || time.shape.size() != 1 || time.values.size() != n)
        fail(time.path + " has the shape " + time.shape_text() + ", but " + neuron.path + " has "
             + neuron.shape_text() + ": one time for each spike");
    const size_t period = project.period ? project.period : inputs.steps;
    std::vector<size_t> order(n);
    for (size_t k = 0; k < n; k++) {
        order[k] = k;
        const double i = neuron.values[k], t = time.values[k];
        const std::string spike = ": spike " + std::to_string(k);
        if (!finite(i) || i < 0 || i >= static_cast<double>(g.n) || i != std::floor(i))
            fail(neuron.path + spike + " is of neuron " + number(i) + ", but " + g.name + " has neurons 0 to "
                 + std::to_string(g.n - 1));
        if (!finite(t)) fail(time.path + spike + " has a time that is not finite");
        if (t < 0) fail(time.path + spike + " has a negative time: " + number(t) + " s");
        if (t > duration)
            fail(time.path + spike + " comes at " + number(t) + " s, after the end of the simulation at "
                 + number(duration) + " s");
        if (project.has_trials) {
            const size_t step = static_cast<size_t>((t + 1e-3 * g.dt) / g.dt), trial = step / period;
            if (trial >= inputs.n_steps.size() || step % period >= inputs.n_steps[trial])
                fail(time.path + spike + " at " + number(t) + " s comes after the end of its trial");
        }
    }
    // As Brian2 sorts: by time, and among equal times by neuron.
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
        return time.values[a] < time.values[b]
            || (time.values[a] == time.values[b] && neuron.values[a] < neuron.values[b]);
    });
    std::vector<int32_t> i(n), bin(n);
    std::vector<double> t(n);
    std::set<int32_t> now;
    for (size_t k = 0; k < n; k++) {
        i[k] = static_cast<int32_t>(neuron.values[order[k]]);
        t[k] = time.values[order[k]];
        bin[k] = static_cast<int32_t>((t[k] + 1e-3 * g.dt) / g.dt);
        if (k && bin[k] != bin[k - 1]) now.clear();
        if (!now.insert(i[k]).second)
            fail(time.path + ": neuron " + std::to_string(i[k]) + " spikes twice in the step at " + number(t[k]) + " s");
    }
    g.write(i, t, bin);
}

inline void read_timed(const Inputs& inputs, const Timed& t) {
    const Array array = read_npy(path_of(inputs, t.name));
    const size_t period = project.period ? project.period : inputs.steps;
    const size_t rows = array.shape.empty() ? 0 : array.shape[0];
    const size_t per_trial = t.per_trial == 1 ? 1 : period;
    const size_t wanted = t.per_trial ? inputs.n_steps.size() * per_trial + t.extra : rows;
    const bool fits = t.columns ? array.shape.size() == 2 && array.shape[1] == t.columns : array.shape.size() == 1;
    if (!fits || rows == 0 || rows != wanted) {
        Array right;
        right.shape.push_back(std::max<size_t>(wanted, 1));
        if (t.columns) right.shape.push_back(t.columns);
        fail(array.path + " has the shape " + array.shape_text() + ", not " + right.shape_text());
    }
    for (size_t k = 0; k < array.values.size(); k++)
        if (!finite(array.values[k]))
            fail(array.path + ": value " + std::to_string(k) + " is not finite");
    t.write(array.values, rows);
}

// A file of values: a list, or a matrix that several synapses read.
inline void read_values(const Inputs& inputs, const std::string& file) {
    const Array array = read_npy(path_of(inputs, file));
    std::vector<char> used;
    for (Variable& v : variables()) {
        if (file != v.file) continue;
        const size_t n = v.size();
        // A list of all synapses, in the order in which they were made, does as well.
        const bool matrix = v.rows > 0 && !(array.shape.size() == 1 && array.values.size() == n);
        const bool fits = matrix ? array.shape == std::vector<size_t>{v.rows, v.columns}
                                 : array.shape.size() <= 1 && array.values.size() == n;
        if (!fits) {
            Array right;
            right.shape = matrix ? std::vector<size_t>{v.rows, v.columns} : std::vector<size_t>{n};
            fail(array.path + " has the shape " + array.shape_text() + ", not " + right.shape_text());
        }
        used.resize(array.values.size());
        for (size_t k = 0; k < n; k++) {
            const size_t at = matrix ? static_cast<size_t>(v.row(k)) * v.columns + static_cast<size_t>(v.column(k)) : k;
            const double x = array.values[at];
            const std::string where = array.path + ": value "
                + (matrix ? "[" + std::to_string(v.row(k)) + ", " + std::to_string(v.column(k)) + "]" : std::to_string(k));
            check(v, x, where);
            if (v.sign && x * v.sign[v.row(k)] < 0)
                fail(where + " is " + number(x) + ", but neuron " + std::to_string(v.row(k)) + " has sign "
                     + (v.sign[v.row(k)] > 0 ? "+1" : "-1"));
            used[at] = 1;
            v.write(k, x);
        }
        v.upload();
    }
    for (size_t k = 0; k < used.size(); k++)
        if (!used[k] && array.values[k] != 0) {
            if (!finite(array.values[k])) fail(array.path + ": value " + std::to_string(k) + " is not finite");
            fail(array.path + ": value " + std::to_string(k) + " is " + number(array.values[k])
                 + ", but there is no such synapse");
        }
}

// Everything that a simulation starts from; nothing has been simulated yet.
inline void read_inputs(Inputs& inputs, const Options& options) {
    double duration = project.duration;
    if (project.has_trials) read_trials(inputs);
    set_values(options, duration);
    if (!project.has_trials) inputs.duration = duration;
    for (const Generator& g : generators()) read_spikes(inputs, g, inputs.duration);
    for (const Timed& t : timed_arrays()) read_timed(inputs, t);
    std::set<std::string> files;
    for (const Variable& v : variables()) files.insert(v.file);
    for (const std::string& file : files)
        if (inputs.in_folder.count(file) || fs::exists(path_of(inputs, file))) {
            for (const Variable& v : variables())
                if (file == v.file && options.set.count(v.name))
                    fail("--set " + std::string(v.name) + ": " + file + ".npy gives these values already");
            read_values(inputs, file);
        }
}

}  // namespace neurosnn
