@main
struct Engram {
  static func main() {}
}
