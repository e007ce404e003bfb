// Arrays in .npy files (numpy's format, versions 1 to 3), read and written without numpy.
// Part of neurosnn, MIT licence.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace neurosnn {

namespace fs = std::filesystem;

struct Failure : std::runtime_error {
    int code;
    explicit Failure(const std::string& text, int exit_code = 1)
        : std::runtime_error(text), code(exit_code) {}
};

[[noreturn]] inline void fail(const std::string& text) { throw Failure(text); }

struct Array {
    std::string path;
    std::vector<size_t> shape;
    std::vector<double> values;
    bool whole = true;  // all values are whole numbers

    std::string shape_text() const {
        std::string text = "(";
        for (size_t n : shape) text += std::to_string(n) + ", ";
        if (shape.size() > 1) text.resize(text.size() - 2);
        else if (shape.size() == 1) text.resize(text.size() - 1);
        return text + ")";
    }
};

// The text of an entry of numpy's header, a Python dictionary of three entries.
inline std::string header_entry(const std::string& header, const std::string& key) {
    const size_t at = header.find("'" + key + "':");
    if (at == std::string::npos) return "";
    size_t begin = header.find_first_not_of(' ', at + key.size() + 3);
    if (begin == std::string::npos) return "";
    const char last = header[begin] == '(' ? ')' : header[begin] == '\'' ? '\'' : ',';
    const size_t end = header.find(last, begin + 1);
    if (end == std::string::npos) return "";
    return header.substr(begin, end - begin + (last == ',' ? 0 : 1));
}

template <typename T>
void convert(const std::vector<char>& bytes, std::vector<double>& values) {
    for (size_t k = 0; k < values.size(); k++) {
        T value;
        std::memcpy(&value, &bytes[k * sizeof(T)], sizeof(T));
        values[k] = static_cast<double>(value);
    }
}

inline Array read_npy(const fs::path& path) {
    Array array;
    array.path = path.string();
    const std::string& name = array.path;
    if (fs::is_directory(path)) fail(name + " is a folder, not an array");
    std::ifstream file(path, std::ios::binary);
    if (!file) fail("cannot open " + name + ": " + std::strerror(errno));
    char magic[8] = {};
    file.read(magic, 8);
    if (!file || std::memcmp(magic, "\x93NUMPY", 6) != 0)
        fail(name + " is not an array in numpy's .npy format");
    const int version = magic[6], width = version == 1 ? 2 : 4;
    unsigned char digits[4] = {};
    file.read(reinterpret_cast<char*>(digits), width);
    size_t length = 0;
    for (int k = width - 1; k >= 0; k--) length = 256 * length + digits[k];
    if (!file || version < 1 || version > 3 || length > 65536)
        fail(name + " is not an array in a known version of numpy's .npy format");
    std::string header(length, ' ');
    file.read(&header[0], static_cast<std::streamsize>(length));
    if (!file) fail(name + " is truncated: it ends within its header");

    std::string type = header_entry(header, "descr");
    const std::string order = header_entry(header, "fortran_order");
    const std::string shape = header_entry(header, "shape");
    if (type.size() < 4 || shape.size() < 2 || (order != "True" && order != "False"))
        fail(name + " has a header that cannot be read");
    type = type.substr(1, type.size() - 2);
    const std::string kind = type.substr(1);
    const size_t item = kind == "f8" || kind == "i8" ? 8 : kind == "f4" || kind == "i4" || kind == "u4" ? 4
        : kind == "i2" || kind == "u2" ? 2 : kind == "b1" || kind == "i1" || kind == "u1" ? 1 : 0;
    if (!item || (type[0] != '<' && type[0] != '|'))
        fail(name + " has the type " + type + ": save it as float64, float32, an integer or boolean type"
             ", little-endian");
    size_t total = 1;
    for (size_t k = 1; k < shape.size();) {
        if (shape[k] < '0' || shape[k] > '9') { k++; continue; }
        size_t n = 0;
        for (; shape[k] >= '0' && shape[k] <= '9'; k++) {
            if (n > (std::numeric_limits<size_t>::max() >> 8) / 10) fail(name + " claims an impossible shape");
            n = 10 * n + static_cast<size_t>(shape[k] - '0');
        }
        array.shape.push_back(n);
        if (n && total > (std::numeric_limits<size_t>::max() >> 8) / n) fail(name + " claims an impossible shape");
        total *= n;
    }
    const std::streamoff begin = file.tellg();
    file.seekg(0, std::ios::end);
    const size_t present = static_cast<size_t>(file.tellg() - begin), wanted = total * item;
    if (present < wanted)
        fail(name + " is truncated: it holds " + std::to_string(present) + " bytes of values, not "
             + std::to_string(wanted));
    if (present > wanted) fail(name + " holds more bytes than its header says");
    file.seekg(begin);
    std::vector<char> bytes(wanted);
    file.read(bytes.data(), static_cast<std::streamsize>(wanted));
    if (!file) fail("cannot read " + name + ": " + std::strerror(errno));

    array.values.resize(total);
    array.whole = kind[0] != 'f';
    if (kind == "f8") convert<double>(bytes, array.values);
    if (kind == "f4") convert<float>(bytes, array.values);
    if (kind == "i8") convert<int64_t>(bytes, array.values);
    if (kind == "i4") convert<int32_t>(bytes, array.values);
    if (kind == "u4") convert<uint32_t>(bytes, array.values);
    if (kind == "i2") convert<int16_t>(bytes, array.values);
    if (kind == "u2") convert<uint16_t>(bytes, array.values);
    if (kind == "i1") convert<int8_t>(bytes, array.values);
    if (kind == "u1" || kind == "b1") convert<uint8_t>(bytes, array.values);
    if (order == "True" && array.shape.size() > 1) {
        if (array.shape.size() != 2) fail(name + " is in Fortran order: save it in C order");
        const size_t rows = array.shape[0], columns = array.shape[1];
        std::vector<double> turned(total);
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < columns; j++) turned[i * columns + j] = array.values[j * rows + i];
        array.values.swap(turned);
    }
    return array;
}

// By the bits: fast math would take a comparison for always true.
inline bool finite(double x) {
    uint64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return (bits >> 52 & 0x7ff) != 0x7ff;
}

// A file that is written piece by piece; every error is one.
class Writer {
    std::FILE* file;
    std::string name;

public:
    explicit Writer(const fs::path& path) : file(std::fopen(path.c_str(), "wb")), name(path.filename().string()) {
        if (!file) fail("cannot write " + name + ": " + std::strerror(errno));
    }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;
    ~Writer() { if (file) std::fclose(file); }
    void write(const void* data, size_t size) {
        if (size && std::fwrite(data, 1, size, file) != size)
            fail("cannot write " + name + ": " + std::strerror(errno));
    }
    void text(const std::string& content) { write(content.data(), content.size()); }
    void close() {
        std::FILE* open = file;
        file = nullptr;
        if (std::fclose(open) != 0) fail("cannot write " + name + ": " + std::strerror(errno));
    }
};

inline void write_header(Writer& out, const std::string& type, const std::vector<size_t>& shape) {
    Array array;
    array.shape = shape;
    std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + array.shape_text() + ", }";
    header.append((64 - (10 + header.size() + 1) % 64) % 64, ' ');
    header += '\n';
    out.write("\x93NUMPY\x01", 7);
    const unsigned char rest[3] = {0, static_cast<unsigned char>(header.size() % 256),
                                   static_cast<unsigned char>(header.size() / 256)};
    out.write(rest, 3);
    out.text(header);
}

inline size_t item_size(const std::string& type) { return static_cast<size_t>(type[2] - '0'); }

}  // namespace neurosnn
