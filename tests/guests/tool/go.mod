module guests/tool

go 1.24
