"""Several devices: results that are split over a mesh, and what each device holds and sends.

`sharding`, `splitting`, `partitioned`, `explicit` and `devices` compute, each part where it is
asked for. `communication` tells beforehand what that costs: `shareable`, `dividing`, `ways` and
`exchanges` divide a planned program among devices as a partitioner would.
"""
