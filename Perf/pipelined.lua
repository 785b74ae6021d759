-- Sixteen requests in one write; wrk sends the next sixteen when all of them are answered.
local all

init = function(arguments)
  local one = wrk.format("GET")
  local many = {}
  for n = 1, 16 do many[n] = one end
  all = table.concat(many)
end

request = function() return all end
