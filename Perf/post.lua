-- Runs once per wrk thread, before the first request: wrk then sends these same bytes, with no script per request.
local file = assert(io.open(os.getenv("ENGRAM_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
file:close()
