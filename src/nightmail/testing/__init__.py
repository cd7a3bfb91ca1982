"""For tests: of your tasks, of your plug-ins, and of nightmail itself.

`check_task` judges a task on one record without a network; `simulator` is a provider on this machine;
`ManualClock` jumps; `CrashPlan` and `Faulty` die at every boundary; `conformance` holds the suites that
each kind of plug-in must pass.
"""

from nightmail.simulator.process import start as simulator
from nightmail.testing.checks import CheckedRequest, check_task
from nightmail.testing.clock import ManualClock
from nightmail.testing.faults import Crash, CrashPlan, Faulty, TroublePlan

__all__ = [
    "CheckedRequest",
    "Crash",
    "CrashPlan",
    "Faulty",
    "ManualClock",
    "TroublePlan",
    "check_task",
    "simulator",
]
