-- A reference step's `ref_logps.jsonl`.
insert into ref_logps by name
select
    $step_id as step_id,
    item,
    language,
    ref_chosen_logps,
    ref_rejected_logps,
    n_tokens
from read_json(
    $path,
    format = 'newline_delimited',
    compression = 'none',
    hive_partitioning = false,
    maximum_object_size = $longest,
    columns = {item: 'varchar', language: 'varchar', ref_chosen_logps: 'double', ref_rejected_logps: 'double', n_tokens: 'bigint'}
);
