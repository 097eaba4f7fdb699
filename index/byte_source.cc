#include "index/byte_source.h"

#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "common/descriptor.h"
#include "common/error.h"
#include "common/files.h"

namespace hullft::index {
namespace {

class PlainSource : public ByteSource {
 public:
  explicit PlainSource(const std::string& path, int64_t offset = 0) : path_(path), fd_(OpenInput(path)) {
    if (offset > 0 && ::lseek(fd_.get(), offset, SEEK_SET) < 0) throw IoError("seek in", path);
  }
  size_t Read(std::span<char> out) override {
    while (true) {
      const ssize_t n = ::read(fd_.get(), out.data(), out.size());
      if (n >= 0) return static_cast<size_t>(n);
      if (errno != EINTR) throw IoError("read", path_);
    }
  }

 private:
  const std::string path_;
  const Descriptor fd_;
};

class GzipSource : public ByteSource {
 public:
  explicit GzipSource(const std::string& path) : path_(path) {
    Descriptor fd(OpenInput(path));
    file_ = ::gzdopen(fd.get(), "rb");
    if (file_ == nullptr) throw std::bad_alloc();
    fd.Take();                   // gzclose closes it
    ::gzbuffer(file_, 1 << 18);  // ignored: only slower with the smaller one
  }
  ~GzipSource() override {
    ::gzclose(file_);  // ignored: read only, each fault of the data was seen by Read
  }
  size_t Read(std::span<char> out) override {
    const int n = ::gzread(file_, out.data(), static_cast<unsigned>(out.size()));
    int code = Z_OK;
    const char* text = ::gzerror(file_, &code);
    if (code == Z_ERRNO) throw IoError("read", path_);
    if (code == Z_BUF_ERROR) throw Cut(path_);
    if (n < 0 || code != Z_OK) {
      throw Error(Code::kData, fmt::format("{}: damaged gzip data: {}", path_, text),
                  "get the file again; gzip -t checks it");
    }
    return static_cast<size_t>(n);
  }
  static Error Cut(const std::string& path) {
    return Error(Code::kData, path + ": the compressed data is cut off", "the file is incomplete: get it again");
  }

 private:
  const std::string path_;
  gzFile file_ = nullptr;
};

class ZstdSource : public ByteSource {
 public:
  explicit ZstdSource(const std::string& path)
      : path_(path), plain_(path), stream_(::ZSTD_createDStream()), buffer_(::ZSTD_DStreamInSize()) {
    if (stream_ == nullptr) throw std::bad_alloc();
    const size_t set = ::ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, 31);  // files made with --long
    HULLFT_CHECK(::ZSTD_isError(set) == 0);
  }
  ~ZstdSource() override { ::ZSTD_freeDStream(stream_); }
  size_t Read(std::span<char> out) override {
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    while (to.pos == 0) {
      if (from_.pos == from_.size && !flushing_) {
        from_ = {buffer_.data(), plain_.Read(buffer_), 0};
        if (from_.size == 0) {
          if (!frame_done_) throw GzipSource::Cut(path_);
          return 0;
        }
      }
      const size_t left = ::ZSTD_decompressStream(stream_, &to, &from_);
      if (::ZSTD_isError(left) != 0) {
        throw Error(Code::kData, fmt::format("{}: damaged zstd data: {}", path_, ::ZSTD_getErrorName(left)),
                    "get the file again; zstd -t checks it");
      }
      frame_done_ = left == 0;
      flushing_ = to.pos == to.size && !frame_done_;  // the decoder may hold more than out had room for
    }
    return to.pos;
  }

 private:
  const std::string path_;
  PlainSource plain_;
  ZSTD_DStream* stream_;
  std::vector<char> buffer_;
  ZSTD_inBuffer from_{nullptr, 0, 0};
  bool frame_done_ = true, flushing_ = false;
};

enum class Compression { kNone, kGzip, kZstd };

// By the file's first bytes; the name must fit them.
Compression CompressionOf(const std::filesystem::path& path) {
  const std::string name = path.string();
  char magic[4] = {};
  const size_t n = PlainSource(name).Read(magic);
  const std::string_view start(magic, n);
  const bool gzip = start.starts_with("\x1f\x8b");
  const bool zstd =
      start == "\x28\xb5\x2f\xfd" || (n == 4 && (start[0] & 0xf0) == 0x50 && start.ends_with("\x2a\x4d\x18"));
  for (const auto& [suffix, is] : {std::pair{".gz", gzip}, std::pair{".zst", zstd}}) {
    if (path.extension() == suffix && !is) {
      throw Error(Code::kData, fmt::format("{} is named {} but does not hold such data", name, suffix),
                  "get the file again, or rename it");
    }
  }
  return gzip ? Compression::kGzip : zstd ? Compression::kZstd : Compression::kNone;
}

}  // namespace

std::unique_ptr<ByteSource> ByteSource::Open(const std::filesystem::path& path) {
  const Compression compression = CompressionOf(path);
  if (compression == Compression::kGzip) return std::make_unique<GzipSource>(path.string());
  if (compression == Compression::kZstd) return std::make_unique<ZstdSource>(path.string());
  return std::make_unique<PlainSource>(path.string());
}

std::unique_ptr<ByteSource> ByteSource::OpenAt(const std::filesystem::path& path, int64_t offset) {
  if (!IsPlain(path)) throw DataError("{} is compressed: it can be read from its beginning only", path.string());
  return std::make_unique<PlainSource>(path.string(), offset);
}

std::unique_ptr<ByteSource> ByteSource::OpenAsIs(const std::filesystem::path& path) {
  return std::make_unique<PlainSource>(path.string());
}

bool ByteSource::IsPlain(const std::filesystem::path& path) {
  return CompressionOf(path) == Compression::kNone;
}

}  // namespace hullft::index
