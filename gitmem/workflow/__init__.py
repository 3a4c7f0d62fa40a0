"""Plans of agents: read, judged, drawn and run.

    parts      what a plan is made of: frozen values, and their JSON
    plan       TOML text -> a plan, or every problem in it
    states     the states of a task
    ready      what may start, what never can, what was promised and is not there: pure decisions
    graph      a plan as a picture

Law: decide first, act later. Everything above the runner is pure, so a dry run, a test and a proof from history decide
as a run does.
"""
