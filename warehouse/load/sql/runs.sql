-- Attempts at steps: `$runs` holds the JSON of each.
insert into runs by name
select unnest(
    from_json(
        $runs,
        '[{
            "run_id": "varchar",
            "step_id": "varchar",
            "experiment": "varchar",
            "started_at": "varchar",
            "seconds": "double",
            "status": "varchar",
            "error": "varchar",
            "host": "varchar",
            "pid": "bigint"
        }]'
    ),
    recursive := true
);
