"""How requests are queued and batched: dynamic_batching, sequence_batching, priorities."""

from __future__ import annotations

from tritonrepo.rules.scheduling import (
    batching,
    controls,
    initial_data,
    initial_states,
    oldest,
    priorities,
    queues,
    sequences,
    states,
)

MODULES = (batching, priorities, queues, sequences, oldest, controls, states, initial_states, initial_data)
