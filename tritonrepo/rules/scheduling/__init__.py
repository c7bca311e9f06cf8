"""How requests are queued and joined: dynamic_batching, sequence_batching, priorities."""

from __future__ import annotations

from tritonrepo.rules.scheduling import (
    batching,
    control_tensors,
    control_values,
    controls,
    delays,
    initial_data,
    initial_shapes,
    initial_states,
    oldest,
    priorities,
    queues,
    sequences,
    state_buffers,
    states,
)

MODULES = (
    batching,
    priorities,
    queues,
    delays,
    sequences,
    oldest,
    controls,
    control_values,
    control_tensors,
    states,
    state_buffers,
    initial_states,
    initial_shapes,
    initial_data,
)
