"""Plans of agents: read, judged, drawn and run.

    parts      what a plan is made of: frozen values, and their JSON
    order      who comes before whom, and who waits in a circle
    plan       TOML text -> a plan, or every problem in it: `reading` by forms, the `forms` of a plan, the `problems`
               of parts that do not fit together
    states     the states of a task
    ready      what may start, what never can, what was promised and is not there: pure decisions
    graph      a plan as a picture: `links` says what leads to what, `placing` where it lies
    outcome    what a run tells while it goes on, and how it ended
    facts      the keys of a plan as they stand, and which of them are of this run
    record     what a run writes to memory
    workplace  what it keeps on this machine: logs, locks, the plan's folder
    logs       reading what agents printed
    keeper     a process that starts agents and ends them, whatever becomes of the runner; `keeping` is our side of it
    gating     the gates of a run: asked, and decided by those who may
    course     a run, one thing after the other
    runner     Runner and resume: what a door calls
    verify     the proof from history that nothing began early

Law: decide first, act later. Everything above the runner is pure, so a dry run, a test and a proof from history decide
as a run does.
"""
