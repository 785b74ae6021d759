-- Posts the lines of the file ENGRAM_BODIES, one after the other and from the start again; each connection of a thread
-- takes the next one. The requests are made before the first is sent.
local requests, at = {}, 0

function init(arguments)
  for line in assert(io.open(os.getenv("ENGRAM_BODIES"), "r")):lines() do
    requests[#requests + 1] = wrk.format("POST", nil, {["Content-Type"] = "application/json"}, line)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
