// The folder of results: written beside the old one, and put in its place when it is complete.
// Part of neurosnn, MIT licence.
#pragma once

#include <csignal>
#include <memory>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inputs.h"

namespace neurosnn {

// One run at a time writes a folder; the lock ends with the process, however it ends.
class Lock {
    fs::path path;
    int file = -1;

public:
    explicit Lock(const fs::path& name, const fs::path& out) : path(name) {
        for (int attempt = 0; attempt < 100; attempt++) {
            file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
            if (file < 0) fail("cannot write into " + out.parent_path().string() + ": " + std::strerror(errno));
            if (::flock(file, LOCK_EX | LOCK_NB) != 0)  {
                ::close(file);
                file = -1;
                fail("another run is writing " + out.string() + ": wait for it, or choose another --out");
            }
            struct stat ours, named;
            if (::fstat(file, &ours) == 0 && ::stat(path.c_str(), &named) == 0 && ours.st_ino == named.st_ino) return;
            ::close(file);  // the run before took its lock away between our two steps
            file = -1;
        }
        fail("cannot lock " + path.string());
    }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() {
        if (file < 0) return;
        ::unlink(path.c_str());
        ::close(file);
    }
};

inline bool is_results(const fs::path& folder) {
    std::ifstream file(folder / "manifest.json");
    std::string begin(200, '\0');
    file.read(&begin[0], 200);
    return fs::is_directory(fs::symlink_status(folder)) && begin.find("\"neurosnn export\"") != std::string::npos
        && fs::exists(folder / "run.json");
}

// Where each saved synapse stands in its matrix, by Brian2's file. Noted before the first step: Brian2's arrays
// do not outlive its own main, and on a GPU it drops indices even before.
inline std::map<std::string, std::vector<size_t>> places;

inline void note_places() {
    for (const Variable& v : variables()) {
        if (!v.raw || !v.rows) continue;
        std::vector<size_t>& place_of = places[v.raw];
        place_of.resize(v.size());
        for (size_t k = 0; k < place_of.size(); k++)
            place_of[k] = static_cast<size_t>(v.row(k)) * v.columns + static_cast<size_t>(v.column(k));
    }
}

class Outputs {
    inline static Outputs* active = nullptr;
    fs::path here, out, part, old;
    std::unique_ptr<Lock> lock;
    bool done = false;

public:
    Outputs(const fs::path& project_folder, const fs::path& folder) : here(project_folder), out(folder) {
        const fs::path parent = out.parent_path();
        std::error_code error;
        fs::create_directories(parent, error);
        if (error) fail("cannot write into " + parent.string() + ": " + error.message());
        const std::string hidden = "." + out.filename().string();
        lock = std::make_unique<Lock>(parent / (hidden + ".lock"), out);
        old = parent / (hidden + ".old");
        part = parent / (hidden + ".part");
        // What a run that was killed has left; while we hold the lock it belongs to nobody.
        if (fs::exists(old) && !fs::exists(fs::symlink_status(out))) fs::rename(old, out);
        fs::remove_all(old);
        fs::remove_all(part);
        if (fs::exists(fs::symlink_status(out)) && !is_results(out))
            fail(out.string() + " exists and does not hold results of such a program: choose another --out");
        fs::create_directory(part, error);
        if (error) fail("cannot write into " + parent.string() + ": " + error.message());
        fs::create_directory(part / "raw");
        active = this;
        std::atexit([] { delete_active(); });  // code of Brian2 and CUDA may end the program itself
    }
    Outputs(const Outputs&) = delete;
    Outputs& operator=(const Outputs&) = delete;
    ~Outputs() {
        std::error_code ignored;
        if (!done) fs::remove_all(part, ignored);
        active = nullptr;
    }

    static void delete_active() {
        if (!active) return;
        std::error_code ignored;
        fs::remove_all(active->part, ignored);
        active->lock.reset();
    }

    std::string raw() const { return (part / "raw").string() + "/"; }

    // Turns Brian2's files into arrays with names, types and shapes.
    void write(const Inputs& inputs, const Options& options) {
        if (project.has_trials) {
            const std::vector<int64_t> n_steps(inputs.n_steps.begin(), inputs.n_steps.end());
            Writer trials(part / "trials.npy");
            write_header(trials, "<i8", {n_steps.size()});
            trials.write(n_steps.data(), 8 * n_steps.size());
            trials.close();
        }
        for (const Result& r : results()) write_result(r);
        std::set<std::string> written;
        for (const Variable& v : variables())
            if (v.raw && v.rows && written.insert(v.file).second) write_matrix(v.file, v.rows, v.columns);
        Writer run(part / "run.json");
        std::string text = "{\"duration\": " + number(inputs.duration) + ", \"set\": {";
        for (const auto& [name, value] : options.set)
            text += (text.back() == '{' ? "\"" : ", \"") + name + "\": " + number(parse_value(name, value));
        run.text(text + "}}\n");
        run.close();
        std::error_code error;
        fs::copy_file(here / "manifest.json", part / "manifest.json", error);
        if (error) fail("cannot write manifest.json: " + error.message());
        fs::remove_all(part / "raw");
    }

    void publish() {
        std::error_code error;
        const bool before = fs::exists(fs::symlink_status(out));
        if (before) fs::rename(out, old, error);
        if (!error) fs::rename(part, out, error);
        if (error) {
            std::error_code ignored;
            if (before && !fs::exists(fs::symlink_status(out))) fs::rename(old, out, ignored);
            fail("cannot write " + out.string() + ": " + error.message());
        }
        done = true;
        fs::remove_all(old, error);
    }

private:
    std::vector<char> read_raw(const char* name) const {
        std::ifstream file(part / "raw" / name, std::ios::binary | std::ios::ate);
        if (!file) fail(std::string("the simulation did not write ") + name);
        std::vector<char> bytes(static_cast<size_t>(file.tellg()));
        file.seekg(0);
        file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        if (!file) fail(std::string("cannot read ") + name);
        return bytes;
    }

    void write_result(const Result& r) const {
        const std::vector<char> bytes = read_raw(r.raw);
        const size_t n = bytes.size() / item_size(r.type), columns = r.columns ? r.columns : 1;
        if (n * item_size(r.type) != bytes.size() || n % columns != 0)
            fail(std::string("the simulation wrote too little of ") + r.file);
        Writer out_file(part / (std::string(r.file) + ".npy"));
        if (r.columns) write_header(out_file, r.type, {n / columns, columns});
        else write_header(out_file, r.type, {n});
        out_file.write(bytes.data(), bytes.size());
        out_file.close();
    }

    void write_matrix(const std::string& file, size_t rows, size_t columns) const {
        std::vector<double> matrix(rows * columns);
        for (const Variable& v : variables()) {
            if (file != v.file || !v.raw) continue;
            const std::vector<char> bytes = read_raw(v.raw);
            const std::vector<size_t>& place = places.at(v.raw);
            if (bytes.size() != 8 * place.size())
                fail("the simulation wrote " + std::to_string(bytes.size()) + " bytes of " + v.raw + ", not the "
                     + std::to_string(8 * place.size()) + " of the synapses of " + file);
            for (size_t k = 0; k < place.size(); k++) std::memcpy(&matrix[place[k]], &bytes[8 * k], 8);
        }
        Writer out_file(part / (file + ".npy"));
        write_header(out_file, "<f8", {rows, columns});
        out_file.write(matrix.data(), 8 * matrix.size());
        out_file.close();
    }
};

}  // namespace neurosnn
