"""How the weights are made and measured: data sets, training, evaluation. Nothing that pans a film imports it."""
