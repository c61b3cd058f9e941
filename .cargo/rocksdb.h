// What most of RocksDB's files include, for .cargo/cxx to have it compiled once. Nothing depends on it: a header that
// is missing here costs time, and one that RocksDB no longer has makes cxx do without all of them.
#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <chrono>
#include <cinttypes>
#include <condition_variable>
#include <deque>
#include <functional>
#include <iomanip>
#include <iostream>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "db/db_impl/db_impl.h"
