// What happens when the program is started: options, inputs, simulation, results.
// Part of neurosnn, MIT licence.
#pragma once

#include <chrono>
#include <iomanip>
#include <new>

#include "outputs.h"

int simulate(int argc, char** argv);  // Brian2's main

namespace neurosnn {

inline volatile std::sig_atomic_t stopped_by = 0;
inline Inputs inputs;
inline Options options;
inline size_t steps_done = 0;
inline std::chrono::steady_clock::time_point started, reported;

extern "C" inline void on_signal(int signal_number) {
    if (stopped_by) {
        std::signal(signal_number, SIG_DFL);
        std::raise(signal_number);
    }
    stopped_by = signal_number;
}

// Brian2's program calls this after all initial values are set and before the first step.
inline void start() {
    read_inputs(inputs, options);
    note_places();
    if (stopped_by) throw Failure("stopped", 128 + stopped_by);
    started = reported = std::chrono::steady_clock::now();
}

inline double duration() { return inputs.duration; }

// Called in every step: progress, and the end that a signal asks for.
inline void step() {
    if (stopped_by) {
        Network::_globally_stopped = true;
        return;
    }
    if (++steps_done % 256 || options.quiet) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - reported < std::chrono::seconds(1)) return;
    reported = now;
    const double share = std::min(1.0, static_cast<double>(steps_done) * project.dt / inputs.duration);
    const double seconds = std::chrono::duration<double>(now - started).count();
    std::cerr << std::fixed << std::setprecision(0) << "run: " << std::floor(100 * share) << " % of "
              << std::defaultfloat << std::setprecision(6) << inputs.duration << " s simulated in " << std::fixed
              << std::setprecision(0) << seconds << " s, about " << seconds * (1 - share) / share << " s to go"
              << std::defaultfloat << std::endl;
}

inline void print_help() {
    std::cout << project.title << "\n\nUsage: ./run [options]\n"
        "  --input FOLDER      .npy files to start from; what it does not hold is taken from inputs/\n"
        "  --out FOLDER        where the results go (default: results, beside the program)\n"
        "  --set NAME=VALUE    change a parameter, in SI units; may be given several times\n"
        "  --quiet             no progress on stderr\n"
        "  --help              this text\n\n"
        "Example: ./run --input my_inputs --out my_results";
    const std::set<std::string> names = settable();
    if (!names.empty()) std::cout << " --set " << *names.begin() << "=...";
    std::cout << "\n\nParameters (--set):\n";
    if (!project.has_trials)
        std::cout << "  duration = " << number(project.duration) << " s (> 0)\n";
    for (const Variable& v : variables()) {
        if (!v.settable) continue;
        const std::string limits = range(v);
        std::cout << "  " << v.name << " = " << v.standard << unit_of(v) << (limits.empty() ? "" : " (" + limits + ")")
                  << "\n";
    }
    std::cout << "\nFiles of values (--input), types and shapes in README.txt:\n";
    std::set<std::string> files;
    for (const Variable& v : variables())
        if (!v.settable) files.insert(v.file);
    const std::vector<std::string> data = data_files();
    for (const std::string& name : data) std::cout << "  " << name << ".npy\n";
    for (const std::string& name : files) std::cout << "  " << name << ".npy (optional)\n";
    std::cout << "  <parameter>.npy (optional): one value, or one for each neuron where there are several\n"
        "\nExit code: 0 if the results are complete, 2 for a wrong option, 1 for every other error.\n";
}

inline fs::path program_folder(const char* called) {
    std::error_code error;
    fs::path program = fs::canonical("/proc/self/exe", error);
    if (error) program = fs::canonical(called, error);
    if (error) fail(std::string("cannot find the program's folder: start it as ./run, not as ") + called);
    return program.parent_path();
}

inline void parse(int argc, char** argv) {
    const std::set<std::string> known = {"--input", "--out", "--set", "--quiet", "--help"};
    for (int k = 1; k < argc; k++) {
        const std::string argument = argv[k];
        if (argument == "--quiet") { options.quiet = true; continue; }
        if (argument != "--input" && argument != "--out" && argument != "--set")
            throw Failure("unknown argument '" + argument + "'" + did_you_mean(argument, known), 2);
        const std::string value = k + 1 < argc ? argv[k + 1] : "";
        if (value.empty() || value.compare(0, 2, "--") == 0) {
            const char* lacking = argument == "--set" ? " needs NAME=VALUE, for example hidden.tau_m=0.025" : " needs a folder";
            throw Failure(argument + lacking, 2);
        }
        k++;
        if (argument == "--input") {
            if (options.has_input) throw Failure("--input is given twice", 2);
            options.has_input = true;
            options.input = value;
        } else if (argument == "--out") {
            if (!options.out.empty()) throw Failure("--out is given twice", 2);
            options.out = value;
        } else {
            const size_t at = value.find('=');
            if (at == std::string::npos || at == 0)
                throw Failure("--set needs NAME=VALUE, for example hidden.tau_m=0.025, got '" + value + "'", 2);
            const std::string name = value.substr(0, at);
            if (!settable().count(name)) {
                for (const Variable& v : variables())
                    if (name == v.name || name == v.file)
                        throw Failure("--set " + name + ": give these values as a file, " + v.file
                                      + ".npy, with --input FOLDER", 2);
                throw Failure("--set " + name + ": there is no such parameter" + did_you_mean(name, settable()), 2);
            }
            parse_value(name, value.substr(at + 1));
            if (!options.set.emplace(name, value.substr(at + 1)).second)
                throw Failure("--set " + name + " is given twice", 2);
        }
    }
}

inline int run(int argc, char** argv) {
    for (int k = 1; k < argc; k++)
        if (std::string(argv[k]) == "--help" || std::string(argv[k]) == "-h") {
            print_help();
            std::cout.flush();
            if (!std::cout) fail("cannot write to the standard output");
            return 0;
        }
    const fs::path here = program_folder(argv[0]);
    parse(argc, argv);
    if (options.has_input) options.input = fs::absolute(options.input).lexically_normal();
    fs::path out = options.out.empty() ? here / "results" : fs::absolute(options.out).lexically_normal();
    if (out.filename().empty()) out = out.parent_path();
    if (!fs::exists(here / "manifest.json")) fail("manifest.json is missing in " + here.string());
    inputs = find_inputs(options, here);
    Outputs outputs(here, out);
    fs::current_path(here);  // Brian2 reads its own files from there
    std::string raw = outputs.raw(), name = "run", option = "--results_dir";
    char* arguments[] = {&name[0], &option[0], &raw[0], nullptr};
    const int code = simulate(3, arguments);
    if (stopped_by) throw Failure("stopped by a signal; earlier results are as they were", 128 + stopped_by);
    if (code != 0) fail("the simulation failed with exit code " + std::to_string(code));
    if (Network::_last_run_completed_fraction < 0.999999) fail("the simulation was stopped before its end");
    outputs.write(inputs, options);
    if (stopped_by) throw Failure("stopped by a signal; earlier results are as they were", 128 + stopped_by);
    outputs.publish();
    if (!options.quiet) std::cerr << "run: results are in " << out.string() << std::endl;
    return 0;
}

}  // namespace neurosnn

int main(int argc, char** argv) {
    for (int signal_number : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal_number, neurosnn::on_signal);
    std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is then an error of the write
    std::signal(SIGPIPE, SIG_IGN);
    try {
        return neurosnn::run(argc, argv);
    } catch (const neurosnn::Failure& failure) {
        std::cerr << "run: " << failure.what() << std::endl;
        return failure.code;
    } catch (const std::bad_alloc&) {
        std::cerr << "run: there is not enough memory" << std::endl;
    } catch (const std::exception& error) {
        std::cerr << "run: " << error.what() << std::endl;
    }
    return 1;
}
