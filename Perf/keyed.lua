-- Posts with a key of their own each (ENGRAM_KEYED=1), or without: the script runs per request in both cases, so that
-- the client's work is nearly the same.
local file = assert(io.open(os.getenv("ENGRAM_BODY"), "rb"))
local body = file:read("*a")
file:close()
local keyed = os.getenv("ENGRAM_KEYED") == "1"
local sent = 0

-- Keeps the keys of this thread of this run apart from those of any other.
local chance = assert(io.open("/dev/urandom", "rb"))
local run = chance:read(8):gsub(".", function(byte) return string.format("%02x", byte:byte()) end)
chance:close()

wrk.method = "POST"
wrk.body = body
wrk.headers["Content-Type"] = "application/json"

request = function()
  sent = sent + 1
  if keyed then wrk.headers["Idempotency-Key"] = run .. "-" .. sent end
  return wrk.format()
end
