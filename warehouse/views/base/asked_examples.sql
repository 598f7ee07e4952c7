-- One row per data step and example: the hash of its id, its question and the conversation before it.
select
    step_id as examples,
    hash(item, instruction, turns) as asked
from examples
