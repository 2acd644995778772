package main

func runBacklog(c *cell) (result, error)  { return result{}, nil }
func runReplay(c *cell) (result, error)   { return result{}, nil }
func runTakeover(c *cell) (result, error) { return result{}, nil }
func runFence(c *cell) (result, error)    { return result{}, nil }
func runRead(c *cell) (result, error)     { return result{}, nil }
func runTrim(c *cell) (result, error)     { return result{}, nil }
