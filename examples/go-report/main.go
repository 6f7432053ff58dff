// Command report adds up orders, CSV files of `customer,item,quantity,price`, by customer.
package main

import (
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"text/tabwriter"
)

type totals map[string]float64

func main() {
	orders := flag.String("orders", "/orders", "directory of the CSV files")
	flag.Parse()
	if err := run(*orders); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(orders string) error {
	files, err := filepath.Glob(filepath.Join(orders, "*.csv"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no orders in %s", orders)
	}
	sums := totals{}
	for _, file := range files {
		if err := sums.addFile(file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return sums.print(os.Stdout)
}

func (sums totals) addFile(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	reader := csv.NewReader(file)
	reader.FieldsPerRecord = 4
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		quantity, badQuantity := strconv.Atoi(record[2])
		price, badPrice := strconv.ParseFloat(record[3], 64)
		if err := errors.Join(badQuantity, badPrice); err != nil {
			return err
		}
		sums[record[0]] += float64(quantity) * price
	}
}

func (sums totals) print(to io.Writer) error {
	customers := make([]string, 0, len(sums))
	for customer := range sums {
		customers = append(customers, customer)
	}
	slices.Sort(customers)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, customer := range customers {
		fmt.Fprintf(table, "%s\t%8.2f %s\n", customer, sums[customer], os.Getenv("CURRENCY"))
	}
	return table.Flush()
}
