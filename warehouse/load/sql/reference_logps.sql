-- `reference_logps` steps' `ref_logps.jsonl`, which lie in folders that are named as the steps.
insert into ref_logps by name
select
    split_part(filename, '/', -2) as step_id,
    item,
    language,
    ref_chosen_logps,
    ref_rejected_logps,
    n_tokens
from read_json(
    $paths,
    filename = true,
    format = 'newline_delimited',
    compression = 'uncompressed',
    hive_partitioning = false,
    maximum_object_size = $longest,
    columns = {
        item: 'varchar', language: 'varchar', ref_chosen_logps: 'double', ref_rejected_logps: 'double',
        n_tokens: 'bigint'
    }
);
