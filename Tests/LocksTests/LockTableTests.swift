import Locks
import Testing

@Suite struct LockTableTests {}
