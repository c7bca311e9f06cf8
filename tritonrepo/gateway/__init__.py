"""An OpenAI front end over the models of a running Triton, which it asks over gRPC."""
