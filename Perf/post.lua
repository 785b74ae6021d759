-- Runs once per wrk thread, before the first request: wrk then sends these same bytes, with no script per request.
-- ENGRAM_PREFER is the value of a `Prefer` field.
local file = assert(io.open(os.getenv("ENGRAM_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Prefer"] = os.getenv("ENGRAM_PREFER")
file:close()
