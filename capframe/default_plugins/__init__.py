"""The plugins that ship with capframe, one module per kind; they use nothing but its public names."""
