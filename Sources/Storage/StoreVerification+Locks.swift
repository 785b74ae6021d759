internal import Model

/// `locks`: what is held and where events of locks stand, as the log's events make it.
struct LocksCheck: FamilyCheck {
  static let family = StoreFamily.locks

  mutating func entry(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ run: StoreVerification
  ) {}
}
