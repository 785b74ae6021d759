#include "CRocksExtras.h"

#include <fcntl.h>
#include <rocksdb/env.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <string>

// As c.cc of RocksDB has it; c.h of 7.8 takes a logger but has no function that makes one.
struct rocksdb_logger_t {
  std::shared_ptr<rocksdb::Logger> rep;
};

namespace {

class Diary : public rocksdb::Logger {
 public:
  Diary(const char *path, rocksdb::InfoLogLevel level, size_t bytes_max)
      : rocksdb::Logger(level), path_(path ? path : ""), bytes_max_(bytes_max) {
    Open();
  }

  ~Diary() override {
    if (file_ >= 0) close(file_);
  }

  using rocksdb::Logger::Logv;
  void Logv(const char *format, va_list arguments) override {
    if (path_.empty()) return;
    char line[1024];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm parts;
    gmtime_r(&now.tv_sec, &parts);
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &parts);
    used += (size_t)snprintf(line + used, sizeof line - used, ".%06ldZ ", now.tv_nsec / 1000);
    int wanted = vsnprintf(line + used, sizeof line - used - 1, format, arguments);
    if (wanted > 0) used += (size_t)wanted < sizeof line - used - 1 ? (size_t)wanted : sizeof line - used - 2;
    if (line[used - 1] != '\n') line[used++] = '\n';
    std::lock_guard<std::mutex> guard(mutex_);
    if (file_ < 0 || written_ >= bytes_max_) Reopen();
    ssize_t done = file_ < 0 ? 0 : write(file_, line, used);
    if (done > 0) written_ += (size_t)done;
  }

  size_t GetLogFileSize() const override { return written_; }

 protected:
  rocksdb::Status Close() override { return rocksdb::Status::OK(); }

 private:
  void Open() {
    if (path_.empty()) return;
    file_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    struct stat status;
    written_ = file_ >= 0 && fstat(file_, &status) == 0 ? (size_t)status.st_size : 0;
  }

  void Reopen() {
    if (file_ >= 0) {
      close(file_);
      rename(path_.c_str(), (path_ + ".old").c_str());
    }
    Open();
  }

  const std::string path_;
  const size_t bytes_max_;
  std::mutex mutex_;
  int file_ = -1;
  size_t written_ = 0;
};

}  // namespace

void *engram_diary_create(const char *path, int level, unsigned long bytes_max) {
  return new rocksdb_logger_t{
      std::make_shared<Diary>(path, static_cast<rocksdb::InfoLogLevel>(level), bytes_max)};
}

void engram_diary_destroy(void *diary) { delete static_cast<rocksdb_logger_t *>(diary); }
