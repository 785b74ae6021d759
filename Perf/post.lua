-- Runs once per wrk thread, before the first request: wrk then sends these same bytes, with no script per request.
-- ENGRAM_PREFER and ENGRAM_AUTHORIZATION are the values of these fields, if they are set.
local file = assert(io.open(os.getenv("ENGRAM_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Prefer"] = os.getenv("ENGRAM_PREFER")
wrk.headers["Authorization"] = os.getenv("ENGRAM_AUTHORIZATION")
file:close()
