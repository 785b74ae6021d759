import Glibc
import Workloads

exit(Smoke.run(Workload.all))
