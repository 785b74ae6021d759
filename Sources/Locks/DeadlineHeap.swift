/// Items with deadlines, the earliest first: a binary heap that knows where each item stands, so that one is moved or
/// removed in log n and none lies in it twice, however often it is renewed. Items are small numbers.
struct DeadlineHeap {
  struct Entry {
    var deadline: UInt64
    /// Decides between equal deadlines, the lower first.
    var rank: UInt64
    var item: Int

    func precedes(_ other: Entry) -> Bool {
      deadline != other.deadline ? deadline < other.deadline : rank < other.rank
    }
  }

  private var entries: ContiguousArray<Entry> = []
  /// By item: its index in `entries`, or -1.
  private var places: ContiguousArray<Int> = []

  var count: Int { entries.count }
  var first: Entry? { entries.first }

  /// The deadline of an item that is in the heap.
  func deadline(of item: Int) -> UInt64? {
    guard item < places.count, places[item] >= 0 else { return nil }
    return entries[places[item]].deadline
  }

  /// Adds an item that isn't in the heap.
  mutating func insert(_ item: Int, deadline: UInt64, rank: UInt64) {
    while places.count <= item { places.append(-1) }
    precondition(places[item] < 0, "the item has a deadline")
    entries.append(Entry(deadline: deadline, rank: rank, item: item))
    rise(entries.count - 1)
  }

  /// Moves an item that is in the heap.
  mutating func move(_ item: Int, to deadline: UInt64) {
    guard item < places.count, places[item] >= 0 else { return }
    let place = places[item]
    let isLater = deadline > entries[place].deadline
    entries[place].deadline = deadline
    if isLater { sink(place) } else { rise(place) }
  }

  mutating func remove(_ item: Int) {
    guard item < places.count, places[item] >= 0 else { return }
    let place = places[item]
    places[item] = -1
    let last = entries.removeLast()
    guard last.item != item else { return }
    entries[place] = last
    places[last.item] = place
    rise(place)
    sink(places[last.item])
  }

  private mutating func rise(_ start: Int) {
    var place = start
    let entry = entries[place]
    while place > 0 {
      let parent = (place - 1) / 2
      guard entry.precedes(entries[parent]) else { break }
      set(place, entries[parent])
      place = parent
    }
    set(place, entry)
  }

  private mutating func sink(_ start: Int) {
    var place = start
    let entry = entries[place]
    while 2 * place + 1 < entries.count {
      var child = 2 * place + 1
      if child + 1 < entries.count, entries[child + 1].precedes(entries[child]) { child += 1 }
      guard entries[child].precedes(entry) else { break }
      set(place, entries[child])
      place = child
    }
    set(place, entry)
  }

  private mutating func set(_ place: Int, _ entry: Entry) {
    entries[place] = entry
    places[entry.item] = place
  }

  /// For tests: whether every parent precedes its children and every item knows its place.
  var isSound: Bool {
    for place in entries.indices {
      if place > 0, entries[place].precedes(entries[(place - 1) / 2]) { return false }
      if places[entries[place].item] != place { return false }
    }
    return places.count { $0 >= 0 } == entries.count
  }
}
